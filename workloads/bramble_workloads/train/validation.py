"""Measures the network on the validation split and decides whether an epoch is the best so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bramble.contracts.hyperparameters import Hyperparameters
from bramble_workloads.tasks.base import Outputs
from bramble_workloads.tasks.objective import NetworkOutputs, Objective
from bramble_workloads.train.ranks import Ranks
from bramble_workloads.train.samples import Source
from bramble_workloads.train.stopping import Stopping
from bramble_workloads.train.sums import Sums


def validate(
    network: nn.Module, objective: Objective[Any], val: Source, ranks: Ranks, batch_size: int, stopping: Stopping
) -> dict[str, float]:
    """Measure `loss` and the objective's figures on the whole split. Each rank measures its share. Empty if the split is empty.

    Raises:
        Stopped: SIGTERM reached some rank.
    """
    if len(val) == 0:
        return {}
    sums = Sums(objective.figures, ranks.device)
    shared = len(val) // ranks.world_size // batch_size
    indices = np.arange(ranks.rank, len(val), ranks.world_size)
    for number, (outputs, targets) in enumerate(forward(network, objective, val, indices, batch_size)):
        sums.add(objective.losses(outputs, targets, training=False), objective.measure(outputs, targets))
        if number < shared:  # every rank has as many batches
            stopping.after_step()
    stopping.settle()
    return sums.means(ranks)


def graph_outputs(network: nn.Module, objective: Objective[Any], source: Source, batch_size: int) -> list[Outputs]:
    """The outputs of the exported part of the network for each sample, in the form in which the graph returns them."""
    names = [output.name for output in objective.describe().outputs]
    found: list[Outputs] = []
    for outputs, _ in forward(objective.exported(network), objective, source, np.arange(len(source)), batch_size):
        arrays = [each.float().cpu().numpy() for each in ((outputs,) if isinstance(outputs, Tensor) else outputs)]
        found += [{name: array[row : row + 1] for name, array in zip(names, arrays, strict=True)} for row in range(len(arrays[0]))]
    return found


@torch.inference_mode()
def forward(
    network: nn.Module, objective: Objective[Any], source: Source, indices: NDArray[np.int64], batch_size: int
) -> Iterator[tuple[NetworkOutputs, Tensor]]:
    """The network's outputs and the targets, batch by batch, in evaluation mode."""
    was = network.training
    network.eval()
    for batch in source.batches(_slices(indices, batch_size)):
        inputs, targets = objective.prepare(batch.inputs, batch.targets, None)
        yield network(inputs), targets
    network.train(was)


def _slices(indices: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def improved(metrics: dict[str, float], best: dict[str, float], wanted: Hyperparameters, figures: Sequence[str]) -> bool:
    """True if an epoch is the best so far: by the metric of early stopping if it is set, else by the first figure and then by the loss.

    Without a validation split the last epoch is the best.
    """
    if "loss" not in metrics or not best:
        return True
    stopping = wanted.early_stopping
    if stopping is None:
        return _order(metrics, figures) > _order(best, figures)
    if stopping.metric == "loss":
        return metrics["loss"] < best["loss"] - stopping.min_delta
    return metrics[stopping.metric] > best[stopping.metric] + stopping.min_delta


def _order(metrics: dict[str, float], figures: Sequence[str]) -> tuple[float, ...]:
    return (*(metrics[name] for name in figures[:1]), -metrics["loss"])
