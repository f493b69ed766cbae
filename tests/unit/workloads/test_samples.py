"""A frozen dataset's pictures arrive verified, from shards or single blobs, whichever costs less."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from bramble.contracts.canonical import canonical_json, digest_of
from bramble_workloads.ahead import AHEAD, ahead
from bramble_workloads.errors import BadData, Corrupt
from bramble_workloads.evaluate.samples import drawn, of_split, pictures, read_manifest, read_samples
from tests.unit.workloads.datasets import dataset


class Reads:
    """Blobs in memory, and how often each was read."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self.blobs = blobs
        self.counts: Counter[str] = Counter()

    def __call__(self, digest: str) -> bytes:
        self.counts[digest] += 1
        return self.blobs[digest]


@pytest.mark.parametrize(
    ("name", "sharded", "share", "reads"),
    [
        ("a whole split comes from its shard", True, 1.0, 1),
        ("a split without shards comes blob by blob", False, 1.0, 40),
        ("most of a split is worth its shard", True, 0.5, 1),
    ],
)
def test_every_wanted_picture_arrives_once(name: str, sharded: bool, share: float, reads: int) -> None:
    digest, blobs = dataset(200, sharded=sharded)
    read = Reads(blobs)
    manifest = read_manifest(read, digest)
    wanted = of_split(read_samples(read, manifest), "test")
    wanted = wanted[: int(len(wanted) * share)]
    read.counts.clear()
    found = {sample.id: content for sample, content in pictures(read, manifest, wanted)}
    assert found == {sample.id: blobs[sample.id] for sample in wanted}
    assert read.counts.total() == reads, name


def test_a_few_pictures_of_a_large_split_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_workloads.evaluate.samples.REQUEST_BYTES", 100)
    digest, blobs = dataset(200)
    read = Reads(blobs)
    manifest = read_manifest(read, digest)
    wanted = of_split(read_samples(read, manifest), "train")[:3]
    read.counts.clear()
    assert {sample.id for sample, _ in pictures(read, manifest, wanted)} == {sample.id for sample in wanted} == set(read.counts)


def test_a_picture_that_no_shard_holds_is_read_by_itself() -> None:
    """Large pictures are not put into shards."""
    digest, blobs = dataset(100)
    manifest = read_manifest(blobs.__getitem__, digest)
    samples = read_samples(blobs.__getitem__, manifest)
    of_val = next(shard for shard in manifest.shards if shard.split == "val")
    mixed = manifest.model_copy(update={"shards": (of_val.model_copy(update={"split": "test"}),)})
    wanted = (*samples["test"], *samples["val"])
    assert {sample.id for sample, _ in pictures(blobs.__getitem__, mixed, wanted)} == {sample.id for sample in wanted}


def test_a_shard_with_another_picture_is_corrupt() -> None:
    digest, blobs = dataset(100)
    manifest = read_manifest(blobs.__getitem__, digest)
    shard = next(shard.sha256 for shard in manifest.shards if shard.split == "test")
    wanted = of_split(read_samples(blobs.__getitem__, manifest), "test")
    damaged = bytearray(blobs[shard])
    damaged[512 + 20] ^= 1  # in the first member's picture, behind its header
    with pytest.raises(Corrupt, match="snapshot the Dataset again"):
        list(pictures({**blobs, shard: bytes(damaged)}.__getitem__, manifest, wanted))
    with pytest.raises(Corrupt, match="not a tar archive"):
        list(pictures({**blobs, shard: b"\x01" * 2048}.__getitem__, manifest, wanted))


def test_what_is_no_manifest() -> None:
    with pytest.raises(BadData, match="is not a manifest that this image knows"):
        read_manifest(lambda _: b'{"schema": "other"}', digest_of(b""))
    digest, blobs = dataset(20)
    manifest = read_manifest(blobs.__getitem__, digest)
    with pytest.raises(BadData, match="does not hold samples"):
        read_samples(lambda _: canonical_json({"id": 1}), manifest)


def test_an_empty_split_is_named() -> None:
    with pytest.raises(BadData, match="the val split is empty: give it a larger share"):
        of_split({}, "val")


def test_samples_are_drawn_by_content_and_purpose_alone() -> None:
    digest, blobs = dataset(100)
    samples = of_split(read_samples(blobs.__getitem__, read_manifest(blobs.__getitem__, digest)), "train")
    first = drawn(samples, "calibration")
    assert drawn(reversed(samples), "calibration") == first
    assert drawn(samples, "golden") != first
    assert first != list(samples)


def test_ahead_keeps_the_order_and_bounds_what_waits() -> None:
    taken = 0

    def things() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    running = ahead(lambda number: number * 2, things(), threads=2)
    assert next(running) == 0
    assert taken <= 2 * AHEAD + 1
    assert list(running) == [number * 2 for number in range(1, 100)]


def test_ahead_stops_at_the_first_error() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number == 0:
            gate.wait(10)
            raise BadData("the first")
        return number

    running = ahead(work, range(1000), threads=1)
    gate.set()
    with pytest.raises(BadData, match="the first"):
        list(running)
    assert len(begun) <= AHEAD + 2
