"""Reads the samples of `$BRAMBLE_DATA` as tensors. They stay in memory if they fit; otherwise loader processes decode them, and what they
decode stays in a file that is mapped into memory, if that fits.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bramble.contracts.base import problems_of
from bramble.contracts.tasks.base import Annotation, TaskContract
from bramble_workloads.errors import BadData, SpecError
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.processing.errors import InputError
from bramble_workloads.runtimes.base import first_line
from bramble_workloads.tasks.objective import Objective
from bramble_workloads.train.decoded import DecodedSamples

KEPT_BYTES = 512 * 1024 * 1024
KEPT_SAMPLES = 20_000
"""Up to this size and number, all samples are read once and kept in memory."""
THREADS = 4
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a document raises that is not what a snapshot wrote."""

CLASSES = TypeAdapter(tuple[str, ...])
WEIGHT = TypeAdapter(Annotated[float, Field(gt=0, allow_inf_nan=False)])


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of `samples.jsonl`."""

    file: Path
    truth: Annotation
    weight: float


class Samples(NamedTuple):
    """The samples of the splits that a trainer sees, and the dataset's classes in the manifest's order."""

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """The inputs and targets of samples as `Objective.read` and `Objective.target` return them, [N, …], and their weights, float32 [N].

    All are on the device.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor


def read_samples(data: Path, task: TaskContract) -> Samples:
    """Read the dataset that the init container wrote.

    Raises:
        BadData: the folder has no dataset, its files are damaged, or the train split is empty.
        SpecError: the dataset is of another task.
    """
    try:
        manifest = json.loads((data / "manifest.json").read_bytes())
        classes, found = CLASSES.validate_python(manifest["classes"]), manifest["task"]
        lines = (data / "samples.jsonl").read_bytes().splitlines()  # text would also be split at U+2028 and others
    except DAMAGED as error:
        raise BadData(f"{data} has no dataset: {_why(error)}; snapshot the Dataset again") from error
    if found != task.name:
        raise SpecError(f"trainer.builtin.task is {task.name} and the task of the dataset is {found}: make them equal")
    names = [field.alias or name for name, field in task.annotation.model_fields.items()]
    splits: dict[str, list[Sample]] = {"train": [], "val": []}
    for number, content in enumerate(lines, 1):
        try:
            line = json.loads(content)
            truth = task.annotation.model_validate({name: line[name] for name in names if name in line})
            splits[line["split"]].append(Sample(data / line["file"], truth, WEIGHT.validate_python(line["weight"])))
        except DAMAGED as error:
            raise BadData(f"line {number} of samples.jsonl is no sample: {_why(error)}; snapshot the Dataset again") from error
    if not splits["train"]:
        raise BadData("the train split has no samples: add samples, or raise splits.train")
    return Samples(classes, tuple(splits["train"]), tuple(splits["val"]))


def _why(error: Exception) -> str:
    return problems_of(error) if isinstance(error, ValidationError) else f"{type(error).__name__}: {first_line(error)}"


class Files(Dataset[tuple[Tensor, Tensor, float]]):
    """Samples read from their files, one at a time, or taken from what was decoded before."""

    def __init__(self, samples: Sequence[Sample], objective: Objective[Any]) -> None:
        self._samples = samples
        self._objective = objective
        self.decoded: DecodedSamples | None = None

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, float]:
        sample = self._samples[index]
        found = self.decoded.get(index) if self.decoded is not None else None
        if found is None:
            found = self.read(index)
            if self.decoded is not None:
                self.decoded.put(index, found)
        return torch.from_numpy(found), torch.from_numpy(self._objective.target(sample.truth)), sample.weight

    def read(self, index: int) -> NDArray[Any]:
        """Read and decode one sample.

        Raises:
            BadData: the file cannot be processed.
        """
        file = self._samples[index].file
        try:
            return self._objective.read(file.read_bytes())
        except InputError as error:
            raise BadData(f"{file.name}: {error}") from error


class Source:
    """Gives batches of samples by index. Their order, and every number in them, is the same however they are read.

    Args:
        samples: the samples of a split.
        objective: reads them.
        device: the device to which batches go.
        workers: the number of loader processes, if the samples do not fit into memory; 0 decodes them in this process.
        room: how many bytes of decoded samples may be kept in a file.
    """

    def __init__(self, samples: Sequence[Sample], objective: Objective[Any], device: torch.device, workers: int, room: int = 0) -> None:
        self.truths = [sample.truth for sample in samples]
        self._files = Files(samples, objective)
        self._device = device
        self._workers = workers
        self._kept: Batch | None = None
        self.decoded_bytes = 0
        if not samples:
            return
        first = self._files.read(0)
        self._targets = torch.from_numpy(np.stack([objective.target(sample.truth) for sample in samples]))
        self._weights = torch.tensor([sample.weight for sample in samples], dtype=torch.float32)
        if len(samples) <= KEPT_SAMPLES and len(samples) * first.nbytes <= KEPT_BYTES:
            self._kept = self._keep()
        elif (size := DecodedSamples.bytes_of(len(samples), first)) <= room:
            with contextlib.suppress(OSError):  # the disk is fuller than it said
                self._files.decoded = DecodedSamples(len(samples), first)
                self.decoded_bytes = size

    def __len__(self) -> int:
        return len(self._files)

    def _keep(self) -> Batch:
        with ThreadPoolExecutor(THREADS) as pool:
            inputs = list(pool.map(self._files.read, range(len(self))))
        return self._on_device(torch.from_numpy(np.stack(inputs)), self._targets, self._weights)

    def _on_device(self, *parts: Tensor) -> Batch:
        return Batch(*(part.to(self._device, non_blocking=True) for part in parts))

    def batches(self, indices: Iterator[NDArray[np.int64]]) -> Iterator[Batch]:
        """Yield one batch for each array of indices, in that order."""
        if self._kept is not None:
            for chosen in indices:
                at = torch.from_numpy(chosen).to(self._device)
                yield Batch(self._kept.inputs[at], self._kept.targets[at], self._kept.weights[at])
            return
        wanted, decoded = list(indices), self._files.decoded
        if decoded is not None:
            decoded.refresh()
            if decoded.has(wanted):
                for rows, found in zip(wanted, parallel_map(decoded.take, wanted, 1), strict=True):
                    yield self._on_device(torch.from_numpy(found), self._targets[rows], self._weights[rows])
                return
        loader: DataLoader[Any] = DataLoader(
            self._files,
            batch_sampler=[chosen.tolist() for chosen in wanted],
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
        )
        for inputs, targets, weights in loader:
            yield self._on_device(inputs, targets, weights.float())
