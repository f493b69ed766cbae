"""The step `snapshot`: makes a version of a Dataset from the present content of its sources. A version never changes afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from bramble.contracts.canonical import canonical_json
from bramble.contracts.jobs.snapshot import Checks, Finding, SnapshotJob, SnapshotResult
from bramble.contracts.manifest import Sample, Split
from bramble.contracts.tasks.catalogue import contract_of
from bramble_workloads.errors import BadData, SpecError
from bramble_workloads.job import Work, run
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.processing.images import THUMBNAIL
from bramble_workloads.snapshot.checks import Divided, check
from bramble_workloads.snapshot.columns import Rows
from bramble_workloads.snapshot.findings import shortened
from bramble_workloads.snapshot.freeze import Frozen, freeze
from bramble_workloads.snapshot.grouping import Grouped, group, leaked
from bramble_workloads.snapshot.near import NearIndex
from bramble_workloads.snapshot.pictures import Picture
from bramble_workloads.snapshot.previous import Previous, read_previous
from bramble_workloads.snapshot.samples import Read, distinct
from bramble_workloads.snapshot.sources.base import Candidate, Listing
from bramble_workloads.snapshot.sources.catalogue import reader_of
from bramble_workloads.snapshot.splits import assign
from bramble_workloads.snapshot.spool import Spool, Thumbnails
from bramble_workloads.tasks.catalogue import task_of

THREADS = 8
SAY_SECONDS = 2
SHARDED_BYTES = 64 * 1024
"""Pictures up to this many bytes also go into shards, because fetching thousands of small objects takes longer than fetching their
bytes."""
RATIO_TOLERANCE = 1e-6


def main() -> int:
    """Run the step in this pod."""
    return run(SnapshotJob, snapshot)


def snapshot(work: Work[SnapshotJob]) -> SnapshotResult:
    """Make a frozen version of a Dataset from its sources.

    Raises:
        SpecError: the ratios, the pattern or the imbalance cannot be used, the store refuses a key, or a source does not fit the task.
        BadData: a source is empty, its metadata cannot be understood, or no file in it can be a sample.
        TryAgain: the store does not answer, or a source changed, or lost a file, while it was read.
    """
    job, store = work.job, work.store
    ratios: dict[Split, float] = {"train": job.splits.train, "val": job.splits.val, "test": job.splits.test}
    if abs(sum(ratios.values()) - 1) > RATIO_TOLERANCE or min(ratios.values()) < 0:
        raise SpecError(f"splits are {ratios}: they must be between 0 and 1 and sum to 1")
    previous = read_previous(store, job.previous, work.folder) if job.previous else Previous()
    annotation = contract_of(job.task).annotation
    listings = [reader_of(source.format).read(store, source, annotation) for source in job.sources]
    found = [finding for listing in listings for finding in listing.findings]
    count = _count(listings)
    work.say(f"{count} files in {len(listings)} sources")
    with Spool(work.folder / "spool") as spool, Thumbnails(work.folder / "thumbnails", THUMBNAIL) as thumbnails:
        pictures, faults = distinct(_read_all(work, listings, previous), spool, thumbnails)
        if not pictures:
            why = f"{faults[0].message}: {faults[0].samples[0]}" if faults else "there is no file"
            raise BadData(f"none of the {count} files can be a sample: {why}")
        del listings
        frozen, further = _freeze(work, pictures, previous, ratios, spool, thumbnails)
    found += [*faults, *further]
    samples, classes = sum(frozen.splits.values()), len(frozen.manifest.classes)
    work.say(f"manifest {frozen.digest}: {samples} samples of {classes} classes, {len(found)} findings")
    return _result(work, frozen, found)


def _freeze(
    work: Work[SnapshotJob],
    pictures: Rows[Picture],
    previous: Previous,
    ratios: Mapping[Split, float],
    spool: Spool,
    thumbnails: Thumbnails,
) -> tuple[Frozen, list[Finding]]:
    """Group and split the pictures, and write the version."""
    job, splits = work.job, work.job.splits
    near, policy = NearIndex(thumbnails, [picture.thumbnail for picture in pictures]), job.checks.duplicates
    grouped = group(pictures, near, policy, group_by=splits.group_by, stratify_by=splits.stratify_by, previous=previous)
    del near
    placed = assign(grouped.groups, ratios, splits.seed)
    frozen = freeze(
        work.store,
        work.folder,
        _samples(grouped, placed, job.checks),
        grouped.pictures,
        spool,
        task=job.task,
        seed=splits.seed,
        departed=previous.departed(picture.id for picture in grouped.pictures),
    )
    divided = Divided(frozen.splits, frozen.manifest.counts, grouped.bound)
    return frozen, [*grouped.findings, *leaked(grouped, placed, splits.group_by), *check(divided, job.checks, contract_of(job.task))]


def _read_all(work: Work[SnapshotJob], listings: Iterable[Listing], known: Container[str]) -> Iterator[Read]:
    """Read, hash and decode every file, and make a blob of each sample that no earlier version has."""
    medium = task_of(work.job.task).medium

    def freeze_one(candidate: Candidate) -> Read:
        content = candidate.content(work.store)
        reading = medium.read(content)
        if not reading.fault and reading.digest not in known:
            candidate.freeze(work.store, content, reading.digest)
        return Read(candidate, reading, content if len(content) <= SHARDED_BYTES else None)

    said, count = time.monotonic(), _count(listings)
    candidates = chain.from_iterable(listing.candidates for listing in listings)
    for number, read in enumerate(parallel_map(freeze_one, candidates, THREADS), start=1):
        yield read
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            work.say(f"read {number} of {count} files", metrics={"files": number, "of": count})


def _count(listings: Iterable[Listing]) -> int:
    return sum(len(listing.candidates) for listing in listings)


def _samples(grouped: Grouped, placed: Sequence[Split], checks: Checks) -> Iterator[Sample]:
    for picture, group_number in zip(grouped.pictures, grouped.group_of, strict=True):
        yield Sample.model_validate(
            {
                "id": picture.id,
                "bytes": picture.bytes,
                "extension": picture.extension,
                "split": placed[group_number],
                "annotation": picture.annotation,
                "group": grouped.groups[group_number].id,
                "weight": 1.0 if checks.duplicates == "drop" else float(len(picture.keys)),
                "origin": picture.origin,
                "meta": picture.meta,
            }
        )


def _result(work: Work[SnapshotJob], frozen: Frozen, found: list[Finding]) -> SnapshotResult:
    key = f"{work.job.prefix}findings.json"
    work.store.put(key, canonical_json([json.loads(finding.model_dump_json()) for finding in found]))
    return SnapshotResult(
        seconds=work.seconds,
        manifest=frozen.digest,
        counts=dict(frozen.manifest.counts.items()),
        splits=dict(frozen.splits.items()),
        classes=frozen.manifest.classes,
        samples=sum(frozen.splits.values()),
        bytes=frozen.bytes,
        passed=all(finding.severity != "error" for finding in found),
        findings=shortened(found),
        findings_key=key,
    )
