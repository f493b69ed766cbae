"""The samples of `$BRAMBLE_DATA` as tensors: decoded once and kept where they fit, else decoded beside the training by loader processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bramble.contracts.package import ModelDescription
from bramble_workloads.errors import BadData
from bramble_workloads.processing.errors import InputError
from bramble_workloads.processing.preprocess import Preprocessor

KEPT_BYTES = 512 * 1024 * 1024
KEPT_SAMPLES = 20_000
"""Up to here decoding everything first is cheaper than decoding for ever."""
THREADS = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of `samples.jsonl`."""

    file: Path
    label: int
    weight: float


@dataclass(frozen=True, slots=True)
class Batch:
    """`pixels` uint8 [N, C, H, W], `labels` int64 [N], `weights` float32 [N], all on the device."""

    pixels: Tensor
    labels: Tensor
    weights: Tensor


def read_samples(data: Path) -> tuple[tuple[str, ...], dict[str, list[Sample]]]:
    """The classes in the manifest's order, and the samples of each split.

    Raises:
        BadData: the folder does not hold what fetch writes, or there is nothing to train on.
    """
    try:
        classes = tuple(json.loads((data / "manifest.json").read_bytes())["classes"])
        lines = (data / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError, KeyError) as error:
        raise BadData(f"{data} holds no dataset: {error}") from error
    number = {name: index for index, name in enumerate(classes)}
    splits: dict[str, list[Sample]] = {"train": [], "val": []}
    for line in map(json.loads, lines):
        splits[line["split"]].append(Sample(data / line["file"], number[line["label"]], line["weight"]))
    if not splits["train"]:
        raise BadData("the train split holds no sample: add samples, or raise splits.train")
    return classes, splits


class Pictures(Dataset[tuple[Tensor, int, float]]):
    """Samples as uint8 [C, H, W], before normalisation: what `processing` makes of them, so that training sees what a device will see."""

    def __init__(self, samples: Sequence[Sample], description: ModelDescription) -> None:
        self._samples = samples
        self._preprocessor = Preprocessor(description)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int, float]:
        sample = self._samples[index]
        return torch.from_numpy(self.pixels(index)), sample.label, sample.weight

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Raises BadData: the file is not a picture that the description can process."""
        sample = self._samples[index]
        try:
            picture = np.asarray(self._preprocessor.picture(sample.file.read_bytes()), dtype=np.uint8)
        except InputError as error:
            raise BadData(f"{sample.file.name}: {error}") from error
        return np.ascontiguousarray(picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1))  # noqa: PLR2004


class Source:
    """Batches by index, from memory or through loader processes."""

    def __init__(self, samples: Sequence[Sample], description: ModelDescription, device: torch.device, workers: int) -> None:
        self._pictures = Pictures(samples, description)
        self._device = device
        self._workers = workers
        self._kept: Batch | None = None
        _, channels, height, width = description.input.tensor.shape
        if len(samples) <= KEPT_SAMPLES and len(samples) * channels * height * width <= KEPT_BYTES:
            self._kept = self._keep(samples)

    def __len__(self) -> int:
        return len(self._pictures)

    def _keep(self, samples: Sequence[Sample]) -> Batch:
        with ThreadPoolExecutor(THREADS) as pool:
            pixels = list(pool.map(self._pictures.pixels, range(len(samples))))
        labels = torch.tensor([sample.label for sample in samples], dtype=torch.int64)
        weights = torch.tensor([sample.weight for sample in samples], dtype=torch.float32)
        stacked = torch.from_numpy(np.stack(pixels)) if pixels else torch.empty(0, dtype=torch.uint8)
        return Batch(stacked.to(self._device), labels.to(self._device), weights.to(self._device))

    def batches(self, indices: Iterator[NDArray[np.int64]]) -> Iterator[Batch]:
        """One batch for each array of indices, in that order."""
        if self._kept is not None:
            for chosen in indices:
                at = torch.from_numpy(chosen).to(self._device)
                yield Batch(self._kept.pixels[at], self._kept.labels[at], self._kept.weights[at])
            return
        loader: DataLoader[Any] = DataLoader(
            self._pictures,
            batch_sampler=(chosen.tolist() for chosen in indices),
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
        )
        for pixels, labels, weights in loader:
            yield Batch(*(part.to(self._device, non_blocking=True) for part in (pixels, labels, weights.float())))
