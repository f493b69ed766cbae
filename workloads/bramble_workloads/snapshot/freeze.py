"""Writes a frozen dataset to the store: samples as JSON lines, small pictures in shards, and the manifest, whose digest is the version."""

from __future__ import annotations

import tarfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from bramble.contracts.canonical import canonical_json
from bramble.contracts.manifest import SPLITS, Departed, Manifest, Sample, Shard, Split
from bramble_workloads.snapshot.columns import Rows, Selected
from bramble_workloads.snapshot.pictures import Picture
from bramble_workloads.snapshot.slices import Slices
from bramble_workloads.snapshot.spool import Spool
from bramble_workloads.store import Store

SHARD_BYTES = 32 * 1024 * 1024
"""The approximate size of a shard. Shards must be few, and small enough for several to be fetched at a time."""


class Frozen(NamedTuple):
    """A frozen version: the digest of its manifest, the manifest, and how many samples each split has."""

    digest: str
    manifest: Manifest
    splits: dict[Split, int]
    bytes: int
    """Of all samples together."""


def freeze(
    store: Store,
    folder: Path,
    samples: Iterable[Sample],
    pictures: Rows[Picture],
    spool: Spool,
    *,
    task: str,
    seed: int,
    departed: Iterable[Departed],
) -> Frozen:
    """Write samples, shards and manifest. Equal samples give equal digests.

    Args:
        store: the store, which has the pictures as blobs already.
        folder: a folder for the files that are uploaded.
        samples: the samples, sorted by id.
        pictures: their pictures, in the same order.
        spool: has the bytes of the pictures that go into shards.
        task: the task of the dataset.
        seed: the seed of the splits.
        departed: the samples of earlier versions that are not among these, sorted by id.
    """
    counts: dict[Split, Counter[str]] = {split: Counter() for split in SPLITS}
    splits: dict[Split, int] = dict.fromkeys(SPLITS, 0)
    members: dict[Split, array[int]] = {split: array("q") for split in SPLITS}
    slices = Slices()
    size, path = 0, folder / "samples.jsonl"
    with path.open("wb") as lines:
        for number, sample in enumerate(samples):
            lines.write(canonical_json(sample) + b"\n")
            counts[sample.split].update(set(sample.annotation.classes))
            splits[sample.split] += 1
            if sample.split == "test":
                slices.add(sample.meta)
            size += sample.bytes
            members[sample.split].append(number)
    digest, written = store.upload_blob(path)
    manifest = Manifest.model_validate(
        {
            "task": task,
            "classes": tuple(sorted({name for shown in counts.values() for name in shown})),
            "seed": seed,
            "samples": digest,
            "samplesBytes": written,
            "counts": {split: dict(sorted(shown.items())) for split, shown in counts.items()},
            "slices": slices.counts(),
            "departed": _departed(store, folder, departed),
            "shards": tuple(
                shard for split in SPLITS for shard in _shards(store, folder, split, Selected(pictures, members[split]), spool)
            ),
        }
    )
    return Frozen(store.put_blob(canonical_json(manifest)), manifest, splits, size)


def _departed(store: Store, folder: Path, departed: Iterable[Departed]) -> str | None:
    path = folder / "departed.jsonl"
    with path.open("wb") as lines:
        for each in departed:
            lines.write(canonical_json(each) + b"\n")
    return store.upload_blob(path)[0] if path.stat().st_size else None


def _shards(store: Store, folder: Path, split: Split, pictures: Iterable[Picture], spool: Spool) -> Iterator[Shard]:
    small = (picture for picture in pictures if picture.spooled is not None)
    for first in small:
        yield _shard(store, folder, split, chain([first], small), spool)


def _shard(store: Store, folder: Path, split: Split, pictures: Iterable[Picture], spool: Spool) -> Shard:
    """Write as many of the pictures as one shard takes."""
    path, count, content = folder / "shard.tar", 0, 0
    with path.open("wb") as file:
        for picture in pictures:
            member = tarfile.TarInfo(f"{picture.id.removeprefix('sha256:')}{picture.extension}")
            member.size, member.mode = picture.bytes, 0o444
            file.write(member.tobuf(tarfile.USTAR_FORMAT))  # `TarFile.addfile` would keep every member in memory
            file.write(spool.read(picture.spooled or 0, picture.bytes))
            file.write(bytes(-picture.bytes % tarfile.BLOCKSIZE))
            count, content = count + 1, content + picture.bytes
            if content >= SHARD_BYTES:
                break
        file.write(bytes(2 * tarfile.BLOCKSIZE))
        file.write(bytes(-file.tell() % tarfile.RECORDSIZE))
    digest, size = store.upload_blob(path)
    return Shard(split=split, sha256=digest, bytes=size, count=count)
