"""However samples are read, from memory, by any number of loaders or from what was decoded before, batches are the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bramble.contracts.pod import DISK_LIMIT
from bramble.contracts.tasks.classification import ClassifierHyperparameters, ClassifierTrainer, Label
from bramble_workloads.tasks.classification.objective import ClassificationObjective
from bramble_workloads.train import decoded, samples
from bramble_workloads.train.samples import Batch, Sample, Source
from bramble_workloads.train.sampling import batches, epoch_order
from tests.unit.workloads.models import digits

COUNT = 40
ROOM = 2**20


@pytest.fixture
def files(tmp_path: Path) -> list[Sample]:
    found = []
    for number, (content, label) in enumerate(zip(digits()[0][:COUNT], digits()[1][:COUNT], strict=True)):
        (tmp_path / f"{number}.png").write_bytes(content)
        found.append(Sample(tmp_path / f"{number}.png", Label(label=label), 1.0 + number % 3))
    return found


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples do not fit into memory."""
    monkeypatch.setattr(samples, "KEPT_BYTES", 0)


class Counting(ClassificationObjective):
    """Counts how many samples are decoded in this process."""

    decoded = 0

    def read(self, content: bytes) -> NDArray[np.uint8]:
        self.decoded += 1
        return super().read(content)


def objective() -> Counting:
    trainer = ClassifierTrainer(architecture="small-cnn", image_size=16, channels="L")
    return Counting(trainer, ClassifierHyperparameters(), tuple("0123456789"), ())


def source(files: list[Sample], workers: int = 0, room: int = 0, by: Counting | None = None) -> Source:
    return Source(files, by or objective(), torch.device("cpu"), workers, room)


def epoch(of: Source, number: int, rank: int = 0, ranks: int = 1) -> list[tuple[Any, ...]]:
    order = batches(epoch_order(COUNT, 7, number), 6, rank, ranks)
    return [(each.inputs.tolist(), each.targets.tolist(), each.weights.tolist()) for each in of.batches(order)]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more loaders than this machine has cores
@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(("workers", "room"), [(0, 0), (0, ROOM), (1, ROOM), (3, 0), (3, ROOM)])
def test_batches_are_the_same_however_they_are_read(workers: int, room: int, files: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as small:
        small.setattr(samples, "KEPT_BYTES", ROOM)
        kept = source(files)
        assert kept._kept is not None
        wanted = [epoch(kept, number) for number in range(2)]
    of = source(files, workers, room)
    assert of._kept is None
    assert [epoch(of, number) for number in range(2)] == wanted


@pytest.mark.usefixtures("large")
def test_after_the_first_epoch_nothing_is_decoded_and_no_loader_starts(files: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    counting = objective()
    of = source(files, room=ROOM, by=counting)
    epoch(of, 0)
    assert counting.decoded == 1 + COUNT  # one to learn the shape
    monkeypatch.setattr(samples, "DataLoader", None)
    epoch(of, 1)
    assert counting.decoded == 1 + COUNT


@pytest.mark.usefixtures("large")
def test_loader_processes_leave_what_they_decode_to_the_next_epoch(files: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    of = source(files, workers=2, room=ROOM)
    first = epoch(of, 0)
    monkeypatch.setattr(samples, "DataLoader", None)
    assert epoch(of, 0) == first


@pytest.mark.usefixtures("large")
def test_a_rank_decodes_only_what_it_has_not_seen(files: list[Sample]) -> None:
    """Each epoch gives a rank other samples."""
    counting = objective()
    of = source(files, room=ROOM, by=counting)
    seen: set[int] = set()
    for number in range(4):
        epoch(of, number, rank=1, ranks=2)
        seen |= {int(index) for chosen in batches(epoch_order(COUNT, 7, number), 6, 1, 2) for index in chosen}
        assert counting.decoded == 1 + len(seen)
    assert len(seen) > COUNT / 2


@pytest.mark.usefixtures("large")
def test_without_room_nothing_is_kept(files: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    row = 16 * 16 + 1
    assert source(files, room=COUNT * row).decoded_bytes == COUNT * row
    assert source(files, room=COUNT * row - 1).decoded_bytes == 0

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    of = source(files, room=ROOM)
    assert of.decoded_bytes == 0
    assert len(epoch(of, 0)) == 7


@pytest.mark.parametrize(
    ("free", "room"),
    [
        pytest.param(1000, 425, id="an empty disk"),
        pytest.param(350, 100, id="half of what is free beyond the kubelet's threshold"),
        pytest.param(150, 0, id="a disk at the threshold"),
        pytest.param(20, 0, id="a disk beyond it"),
    ],
)
def test_a_node_does_not_evict_pods_because_of_what_is_kept(free: int, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "usable_memory", lambda: 10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=1000, free=free))
    assert decoded.room(1) == room


def test_room_is_half_of_what_disk_and_memory_have_shared_by_the_ranks_of_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100_000, free=100_000))
    monkeypatch.setattr(decoded, "usable_memory", lambda: 1000)
    assert decoded.room(1) == 500
    assert decoded.room(2) == 250
    monkeypatch.setenv(DISK_LIMIT, "0")
    assert decoded.room(1) == 500, "the node does not say"
    monkeypatch.setenv(DISK_LIMIT, "600")
    assert decoded.room(1) == 300, "the kubelet would evict a pod that writes more"


def test_an_empty_split_gives_no_batches(files: list[Sample]) -> None:
    del files
    none: Iterator[Batch] = source([]).batches(iter(()))
    assert list(none) == []
