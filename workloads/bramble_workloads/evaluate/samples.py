"""Reads the samples of a frozen dataset and their files, verified, from a store or a gateway."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence

from pydantic import ValidationError

from bramble.contracts.base import problems_of
from bramble.contracts.canonical import digest_of
from bramble.contracts.manifest import Manifest, Sample, Split, read_sample
from bramble.contracts.store import LARGEST_DOCUMENT
from bramble.contracts.tasks.catalogue import contract_of
from bramble.contracts.untrusted import parse_untrusted
from bramble_workloads.errors import BadData, Corrupt
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.processing.package import GetBlob

READERS = 8
"""Threads that wait for single blobs."""
REQUEST_BYTES = 64 * 1024
"""One more request takes about as long as this many more bytes of a request that is made in any case."""


def read_manifest(get_blob: GetBlob, digest: str) -> Manifest:
    """Read the header of a dataset.

    Raises:
        BadData: the blob is not a manifest.
    """
    try:
        return parse_untrusted(Manifest, get_blob(digest), LARGEST_DOCUMENT)
    except ValidationError as error:
        raise BadData(
            f"blob {digest} is not a manifest that this image knows: snapshot the Dataset again ({problems_of(error)})"
        ) from error


def read_samples(get_blob: GetBlob, manifest: Manifest) -> dict[Split, tuple[Sample, ...]]:
    """Read the samples of every split, in order of id. A split without samples is left out.

    Raises:
        BadData: a line is not a sample.
    """
    found: dict[Split, list[Sample]] = {}
    annotation = contract_of(manifest.task).annotation
    try:
        for line in get_blob(manifest.samples).splitlines():
            sample = read_sample(line, annotation)
            found.setdefault(sample.split, []).append(sample)
    except ValueError as error:
        why = problems_of(error) if isinstance(error, ValidationError) else str(error)
        raise BadData(f"blob {manifest.samples} does not hold samples: snapshot the Dataset again ({why})") from error
    return {split: tuple(sorted(samples, key=lambda sample: sample.id)) for split, samples in found.items()}


def name_of(sample: Sample) -> str:
    """The name of a sample in messages."""
    shown = sample.annotation.stratum
    return f"sample {sample.id} ({shown})" if shown else f"sample {sample.id}"


def of_split(samples: dict[Split, tuple[Sample, ...]], split: Split) -> tuple[Sample, ...]:
    """The samples of one split.

    Raises:
        BadData: the split is empty.
    """
    if split not in samples:
        raise BadData(f"the {split} split is empty: give it a larger share in the Dataset's splits, or more samples")
    return samples[split]


def hash_order(samples: Iterable[Sample], purpose: str) -> list[Sample]:
    """Sort samples by sha256(purpose, id): the order is the same on every machine, and differs between purposes."""
    return sorted(samples, key=lambda sample: hashlib.sha256(f"{purpose}/{sample.id}".encode()).hexdigest())


def read_files(get_blob: GetBlob, manifest: Manifest, wanted: Sequence[Sample]) -> Iterator[tuple[Sample, bytes]]:
    """Read the file of each wanted sample, in no particular order. One shard is in memory at a time, or a few single files.

    Raises:
        Corrupt: a shard holds other files than it says; or as `get_blob`.
    """
    left = {sample.id: sample for sample in wanted}
    for shard in (shard for split in sorted({sample.split for sample in wanted}) for shard in _worthwhile(manifest, split, wanted)):
        for digest, content in _members(get_blob(shard), shard):
            sample = left.pop(digest, None)
            if sample is not None:
                yield sample, content
    yield from parallel_map(lambda sample: (sample, get_blob(sample.id)), left.values(), READERS)


def _worthwhile(manifest: Manifest, split: Split, wanted: Sequence[Sample]) -> list[str]:
    """The shards of a split, if reading all of them is faster than a request for each wanted file; else none."""
    shards = [shard for shard in manifest.shards if shard.split == split]
    count = sum(sample.split == split for sample in wanted)
    return [shard.sha256 for shard in shards] if sum(shard.bytes for shard in shards) <= count * REQUEST_BYTES else []


def _members(shard: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    """The digest and the bytes of each file of a shard. Nothing is written to a path, so a member's name cannot lead out of a folder."""
    try:
        with tarfile.open(fileobj=io.BytesIO(shard), mode="r:") as archive:
            for member in archive:
                stream = archive.extractfile(member)
                content = stream.read() if stream is not None else b""
                digest = digest_of(content)
                if not member.name.startswith(digest.removeprefix("sha256:")):
                    raise Corrupt(f"member {member.name!r} of shard {name} hashes to {digest}: snapshot the Dataset again")
                yield digest, content
    except tarfile.TarError as error:
        raise Corrupt(f"shard {name} is not a tar archive: {error}") from error
