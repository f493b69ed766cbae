"""Writes a frozen dataset to the store: samples as JSON lines, small pictures in shards, and the manifest, whose digest is the version."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bramble.contracts.canonical import canonical_json
from bramble.contracts.manifest import SPLITS, Departed, Manifest, Sample, Shard, Split
from bramble_workloads.store import Store

SHARD_BYTES = 32 * 1024 * 1024
"""The approximate size of a shard. Shards must be few, and small enough for several to be fetched at a time."""


def counts_of(samples: Iterable[Sample]) -> dict[Split, dict[str, int]]:
    """For each split and class, the number of samples that show the class. Classes are ordered by name."""
    counts: dict[Split, dict[str, int]] = {split: {} for split in SPLITS}
    found = sorted((name, sample.split) for sample in samples for name in set(sample.annotation.classes))
    for name, split in found:
        counts[split][name] = counts[split].get(name, 0) + 1
    return counts


def freeze(
    store: Store, samples: Sequence[Sample], small: Mapping[str, Path], *, task: str, seed: int, departed: Sequence[Departed] = ()
) -> tuple[str, Manifest]:
    """Write samples, shards and manifest. Equal samples give equal digests.

    Args:
        store: the store, which has the pictures as blobs already.
        samples: the samples, sorted by id.
        small: the local files of the pictures that go into shards, by id.
        task: the task of the dataset.
        seed: the seed of the splits.
        departed: the samples of earlier versions that are not among these, sorted by id.

    Returns:
        The digest of the manifest, and the manifest.
    """
    lines = _lines(samples)
    manifest = Manifest.model_validate(
        {
            "task": task,
            "classes": tuple(sorted({name for sample in samples for name in sample.annotation.classes})),
            "seed": seed,
            "samples": store.put_blob(lines),
            "samplesBytes": len(lines),
            "counts": counts_of(samples),
            "departed": store.put_blob(_lines(departed)) if departed else None,
            "shards": tuple(shard for split in SPLITS for shard in _shards(store, split, samples, small)),
        }
    )
    return store.put_blob(canonical_json(manifest)), manifest


def _lines(documents: Iterable[Sample | Departed]) -> bytes:
    return b"".join(canonical_json(document) + b"\n" for document in documents)


def _shards(store: Store, split: Split, samples: Iterable[Sample], small: Mapping[str, Path]) -> Iterator[Shard]:
    batch: list[Sample] = []
    size = 0
    for sample in samples:
        if sample.split == split and sample.id in small:
            batch.append(sample)
            size += sample.bytes
            if size >= SHARD_BYTES:
                yield _shard(store, split, batch, small)
                batch, size = [], 0
    if batch:
        yield _shard(store, split, batch, small)


def _shard(store: Store, split: Split, samples: Sequence[Sample], small: Mapping[str, Path]) -> Shard:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for sample in samples:
            content = small[sample.id].read_bytes()
            member = tarfile.TarInfo(f"{sample.id.removeprefix('sha256:')}{sample.extension}")
            member.size, member.mode = len(content), 0o444
            archive.addfile(member, io.BytesIO(content))
    content = buffer.getvalue()
    return Shard(split=split, sha256=store.put_blob(content), bytes=len(content), count=len(samples))
