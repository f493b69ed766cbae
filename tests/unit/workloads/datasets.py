"""A frozen dataset of real digits in memory, as a snapshot writes it, and a store that holds it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.manifest import SPLITS, Manifest, Sample, Shard
from bramble.contracts.tasks.classification import Label
from tests.unit.workloads.models import LABELS, digits


def dataset(count: int = 400, *, sharded: bool = True, test_label: str | None = None, **meta: Any) -> tuple[str, dict[str, bytes]]:
    """`count` digits, 60/20/20, a column `hand` of two values; the manifest's digest, and every blob by digest.

    `test_label` replaces the label of every test sample.
    """
    pictures, labels = digits()
    blobs: dict[str, bytes] = {}
    samples: dict[str, Sample] = {}
    for position, (picture, label) in enumerate(zip(pictures[:count], labels, strict=False)):
        digest = digest_of(picture)
        blobs[digest] = picture
        split = ("train", "train", "train", "val", "test")[position % 5]
        samples[digest] = Sample.model_validate(
            {
                "id": digest,
                "bytes": len(picture),
                "extension": ".png",
                "split": split,
                "annotation": Label(label=test_label if test_label is not None and split == "test" else label),
                "group": digest,
                "origin": "digits",
                "meta": {"hand": "left" if position % 3 else "right", **meta},
            }
        )
    return _frozen(samples, blobs, LABELS, sharded=sharded)


def many_classes(pictures: Sequence[bytes], labels: tuple[str, ...], recordings: int) -> tuple[str, dict[str, bytes]]:
    """A test split alone: each picture with the label of its position, and a column `recording` of so many values."""
    samples = {
        digest_of(picture): Sample.model_validate(
            {
                "id": digest_of(picture),
                "bytes": len(picture),
                "extension": ".png",
                "split": "test",
                "annotation": Label(label=labels[position % len(labels)]),
                "group": digest_of(picture),
                "origin": "random",
                "meta": {"recording": str(position % recordings)},
            }
        )
        for position, picture in enumerate(pictures)
    }
    contents = {digest_of(picture): picture for picture in pictures}
    manifest, blobs = _frozen(samples, contents, labels, sharded=True)
    return manifest, {digest: content for digest, content in blobs.items() if digest not in samples}


def _frozen(
    samples: Mapping[str, Sample], blobs: dict[str, bytes], labels: tuple[str, ...], *, sharded: bool
) -> tuple[str, dict[str, bytes]]:
    """The manifest's digest, and `blobs` with what a snapshot adds to them."""
    ordered = [samples[digest] for digest in sorted(samples)]
    lines = b"".join(canonical_json(sample) + b"\n" for sample in ordered)
    blobs[digest_of(lines)] = lines
    shards = []
    for split in SPLITS if sharded else ():
        members = [sample for sample in ordered if sample.split == split]
        content = _tar(members, blobs)
        blobs[digest_of(content)] = content
        shards.append(Shard(split=split, sha256=digest_of(content), bytes=len(content), count=len(members)))
    counts: dict[str, dict[str, int]] = {split: dict.fromkeys(labels, 0) for split in SPLITS}
    for sample in ordered:
        counts[sample.split][sample.annotation.stratum] += 1
    manifest = Manifest.model_validate(
        {
            "task": "image-classification",
            "classes": labels,
            "seed": 7,
            "samples": digest_of(lines),
            "samplesBytes": len(lines),
            "counts": counts,
            "shards": tuple(shards),
        }
    )
    document = canonical_json(manifest)
    blobs[digest_of(document)] = document
    return digest_of(document), blobs


def _tar(samples: list[Sample], blobs: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for sample in samples:
            member = tarfile.TarInfo(f"{sample.id.removeprefix('sha256:')}{sample.extension}")
            member.size = len(blobs[sample.id])
            archive.addfile(member, io.BytesIO(blobs[sample.id]))
    return buffer.getvalue()
