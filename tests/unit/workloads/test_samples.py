"""A frozen dataset's pictures arrive verified, from shards or single blobs, whichever costs less."""

from __future__ import annotations

from collections import Counter

import pytest

from bramble.contracts.canonical import canonical_json, digest_of
from bramble_workloads.errors import BadData, Corrupt
from bramble_workloads.evaluate.samples import hash_order, of_split, read_files, read_manifest, read_samples
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
    found = {sample.id: content for sample, content in read_files(read, manifest, wanted)}
    assert found == {sample.id: blobs[sample.id] for sample in wanted}
    assert read.counts.total() == reads, name


def test_a_few_pictures_of_a_large_split_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_workloads.evaluate.samples.REQUEST_BYTES", 100)
    digest, blobs = dataset(200)
    read = Reads(blobs)
    manifest = read_manifest(read, digest)
    wanted = of_split(read_samples(read, manifest), "train")[:3]
    read.counts.clear()
    assert {sample.id for sample, _ in read_files(read, manifest, wanted)} == {sample.id for sample in wanted} == set(read.counts)


def test_a_picture_that_no_shard_holds_is_read_by_itself() -> None:
    """Large pictures are not put into shards."""
    digest, blobs = dataset(100)
    manifest = read_manifest(blobs.__getitem__, digest)
    samples = read_samples(blobs.__getitem__, manifest)
    of_val = next(shard for shard in manifest.shards if shard.split == "val")
    mixed = manifest.model_copy(update={"shards": (of_val.model_copy(update={"split": "test"}),)})
    wanted = (*samples["test"], *samples["val"])
    assert {sample.id for sample, _ in read_files(blobs.__getitem__, mixed, wanted)} == {sample.id for sample in wanted}


def test_a_shard_with_another_picture_is_corrupt() -> None:
    digest, blobs = dataset(100)
    manifest = read_manifest(blobs.__getitem__, digest)
    shard = next(shard.sha256 for shard in manifest.shards if shard.split == "test")
    wanted = of_split(read_samples(blobs.__getitem__, manifest), "test")
    damaged = bytearray(blobs[shard])
    damaged[512 + 20] ^= 1  # in the first member's picture, behind its header
    with pytest.raises(Corrupt, match="snapshot the Dataset again"):
        list(read_files({**blobs, shard: bytes(damaged)}.__getitem__, manifest, wanted))
    with pytest.raises(Corrupt, match="not a tar archive"):
        list(read_files({**blobs, shard: b"\x01" * 2048}.__getitem__, manifest, wanted))


def test_what_is_no_manifest() -> None:
    with pytest.raises(BadData, match="is not a manifest that this image knows"):
        read_manifest(lambda _: b'{"schema": "other"}', digest_of(b""))
    digest, blobs = dataset(20)
    manifest = read_manifest(blobs.__getitem__, digest)
    for lines in (canonical_json({"id": 1}), b"[1]", b"[" * 100_000):
        with pytest.raises(BadData, match="does not hold samples"):
            read_samples({manifest.samples: lines}.__getitem__, manifest)


def test_an_empty_split_is_named() -> None:
    with pytest.raises(BadData, match="the val split is empty: give it a larger share"):
        of_split({}, "val")


def test_hash_order_depends_on_content_and_purpose_alone() -> None:
    digest, blobs = dataset(100)
    samples = of_split(read_samples(blobs.__getitem__, read_manifest(blobs.__getitem__, digest)), "train")
    first = hash_order(samples, "calibration")
    assert hash_order(reversed(samples), "calibration") == first
    assert hash_order(samples, "golden") != first
    assert first != list(samples)
