"""How good the network is on the validation split, and when that counts as better."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bramble.contracts.hyperparameters import Hyperparameters
from bramble.contracts.package import Normalize
from bramble_workloads.train.pictures import Source
from bramble_workloads.train.ranks import Ranks

FORWARD = 4
"""Batches of training that fit into one without gradients."""


class Normalizer:
    """The last operation of the package, on the device: `(pixel / scale - mean) / std`."""

    def __init__(self, operation: Normalize, device: torch.device) -> None:
        self._scale = operation.scale
        self._mean = torch.tensor(operation.mean, device=device)[:, None, None]
        self._std = torch.tensor(operation.std, device=device)[:, None, None]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Pixels [N, C, H, W] of any type in 0…255 to float32."""
        return (pixels.float() / self._scale - self._mean) / self._std


def validate(network: nn.Module, val: Source, normalize: Normalizer, ranks: Ranks, batch_size: int) -> dict[str, float]:
    """`loss` and `accuracy` over the whole split, each rank having looked at its share; nothing where the split is empty."""
    if len(val) == 0:
        return {}
    logits, labels = predict(network, val, normalize, np.arange(ranks.rank, len(val), ranks.world_size), batch_size)
    losses = cross_entropy(logits, labels, reduction="sum").double()
    right = (logits.argmax(1) == labels).sum().double()
    loss, hits, count = ranks.total(torch.stack([losses, right, torch.tensor(len(labels), device=logits.device).double()])).tolist()
    return {"loss": loss / count, "accuracy": hits / count}


@torch.inference_mode()
def predict(
    network: nn.Module, source: Source, normalize: Normalizer, indices: NDArray[np.int64], batch_size: int
) -> tuple[Tensor, Tensor]:
    """Logits float32 [N, classes] and labels int64 [N] of these samples."""
    was = network.training
    network.eval()
    logits, labels = [], []
    for batch in source.batches(_slices(indices, batch_size * FORWARD)):
        logits.append(network(normalize(batch.pixels)).float())
        labels.append(batch.labels)
    network.train(was)
    if not logits:
        device = next(network.parameters()).device
        return torch.zeros(0, 1, device=device), torch.zeros(0, dtype=torch.int64, device=device)
    return torch.cat(logits), torch.cat(labels)


def _slices(indices: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def improved(metrics: dict[str, float], best: dict[str, float], wanted: Hyperparameters) -> bool:
    """Whether an epoch is the best so far: by early stopping's metric if it is set, else by accuracy and then loss on val.

    Without a validation split the last epoch is the best.
    """
    if "loss" not in metrics or not best:
        return True
    stopping = wanted.early_stopping
    if stopping is None:
        return (metrics["accuracy"], -metrics["loss"]) > (best["accuracy"], -best["loss"])
    if stopping.metric == "loss":
        return metrics["loss"] < best["loss"] - stopping.min_delta
    return metrics["accuracy"] > best["accuracy"] + stopping.min_delta
