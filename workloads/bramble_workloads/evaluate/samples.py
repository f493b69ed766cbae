"""Reads the samples of a frozen dataset and their files, verified, from a store or a gateway."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence

from pydantic import ValidationError

from bramble.contracts.canonical import digest_of
from bramble.contracts.manifest import Manifest, Sample, Split, read_sample
from bramble.contracts.tasks.catalogue import contract_of
from bramble_workloads.errors import BadData, Corrupt
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.processing.package import GetBlob

READERS = 8
"""Threads that wait for single blobs."""
REQUEST_BYTES = 64 * 1024
"""One more request costs about as much as this many bytes more in a request that is made anyway."""


def read_manifest(get_blob: GetBlob, digest: str) -> Manifest:
    """A dataset's header.

    Raises:
        BadData: the blob is not a manifest.
    """
    try:
        return Manifest.model_validate_json(get_blob(digest))
    except ValidationError as error:
        raise BadData(f"blob {digest} is not a manifest that this image knows: snapshot the Dataset again ({_first(error)})") from error


def read_samples(get_blob: GetBlob, manifest: Manifest) -> dict[Split, tuple[Sample, ...]]:
    """Every split's samples, in order of id; a split without any is left out.

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
        why = _first(error) if isinstance(error, ValidationError) else str(error)
        raise BadData(f"blob {manifest.samples} does not hold samples: snapshot the Dataset again ({why})") from error
    return {split: tuple(sorted(samples, key=lambda sample: sample.id)) for split, samples in found.items()}


def name_of(sample: Sample) -> str:
    """A sample as messages name it."""
    shown = sample.annotation.stratum
    return f"sample {sample.id} ({shown})" if shown else f"sample {sample.id}"


def of_split(samples: dict[Split, tuple[Sample, ...]], split: Split) -> tuple[Sample, ...]:
    """The samples of one split.

    Raises:
        BadData: there are none.
    """
    if split not in samples:
        raise BadData(f"the {split} split is empty: give it a larger share in the Dataset's splits, or more samples")
    return samples[split]


def hash_order(samples: Iterable[Sample], purpose: str) -> list[Sample]:
    """Sort samples by sha256(purpose, id): the order is the same on every machine, and differs between purposes."""
    return sorted(samples, key=lambda sample: hashlib.sha256(f"{purpose}/{sample.id}".encode()).hexdigest())


def pictures(get_blob: GetBlob, manifest: Manifest, wanted: Sequence[Sample]) -> Iterator[tuple[Sample, bytes]]:
    """Each wanted sample with its picture, in no promised order. One shard is in memory at a time, or a few single blobs.

    Raises:
        Corrupt: a shard holds other pictures than it says; or as `get_blob`.
    """
    left = {sample.id: sample for sample in wanted}
    for shard in (shard for split in sorted({sample.split for sample in wanted}) for shard in _worthwhile(manifest, split, wanted)):
        for digest, content in _members(get_blob(shard), shard):
            sample = left.pop(digest, None)
            if sample is not None:
                yield sample, content
    yield from parallel_map(lambda sample: (sample, get_blob(sample.id)), left.values(), READERS)


def _worthwhile(manifest: Manifest, split: Split, wanted: Sequence[Sample]) -> list[str]:
    """The shards of a split, where so much of it is wanted that reading them whole costs less than a request a picture; else none."""
    shards = [shard for shard in manifest.shards if shard.split == split]
    count = sum(sample.split == split for sample in wanted)
    return [shard.sha256 for shard in shards] if sum(shard.bytes for shard in shards) <= count * REQUEST_BYTES else []


def _members(shard: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    """Digest and bytes of each picture of a shard. Nothing is unpacked to a path, so no member's name leads anywhere."""
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


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False)[0]
    return f"{'.'.join(map(str, found['loc'])) or 'document'}: {found['msg']}"
