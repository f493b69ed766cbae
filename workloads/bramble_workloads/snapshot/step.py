"""The step `snapshot`: makes a version of a Dataset from the present content of its sources. A version never changes afterwards."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping

from bramble.contracts.canonical import canonical_json
from bramble.contracts.jobs.snapshot import Checks, Finding, SnapshotJob, SnapshotResult
from bramble.contracts.manifest import Departed, Manifest, Sample, read_sample
from bramble.contracts.tasks.catalogue import contract_of
from bramble_workloads.errors import BadData, SpecError
from bramble_workloads.job import Work, run
from bramble_workloads.parallel_map import parallel_map
from bramble_workloads.processing.images import THUMBNAIL
from bramble_workloads.snapshot.checks import check
from bramble_workloads.snapshot.findings import shortened
from bramble_workloads.snapshot.freeze import Frozen, freeze
from bramble_workloads.snapshot.grouping import Grouped, group
from bramble_workloads.snapshot.near import NearIndex
from bramble_workloads.snapshot.samples import Picture, Read, distinct
from bramble_workloads.snapshot.sources.base import Candidate
from bramble_workloads.snapshot.sources.catalogue import reader_of
from bramble_workloads.snapshot.splits import assign
from bramble_workloads.snapshot.spool import Spool, Thumbnails
from bramble_workloads.store import Store
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
        TryAgain: the store does not answer, or a source changed while it was read.
    """
    job, store = work.job, work.store
    ratios = {"train": job.splits.train, "val": job.splits.val, "test": job.splits.test}
    if abs(sum(ratios.values()) - 1) > RATIO_TOLERANCE or min(ratios.values()) < 0:
        raise SpecError(f"splits are {ratios}: they must be between 0 and 1 and sum to 1")
    previous = _previous(store, job.previous) if job.previous else {}
    annotation = contract_of(job.task).annotation
    listings = [reader_of(source.format).read(store, source, annotation) for source in job.sources]
    candidates = deque(candidate for listing in listings for candidate in listing.candidates)
    found = [finding for listing in listings for finding in listing.findings]
    work.say(f"{len(candidates)} files in {len(listings)} sources")
    del listings  # candidates are let go one by one as they are read
    with Spool(work.folder / "spool") as spool, Thumbnails(work.folder / "thumbnails", THUMBNAIL) as thumbnails:
        frozen, further = _freeze(work, candidates, previous, spool, thumbnails)
    found += further
    samples, classes = sum(frozen.splits.values()), len(frozen.manifest.classes)
    work.say(f"manifest {frozen.digest}: {samples} samples of {classes} classes, {len(found)} findings")
    return _result(work, frozen, found)


def _freeze(
    work: Work[SnapshotJob], candidates: deque[Candidate], previous: Mapping[str, Sample | Departed], spool: Spool, thumbnails: Thumbnails
) -> tuple[Frozen, list[Finding]]:
    """Read the candidates, group and split them, and write the version."""
    job, splits, count = work.job, work.job.splits, len(candidates)
    pictures, faults = distinct(_read_all(work, candidates, previous), spool, thumbnails)
    if not pictures:
        raise BadData(f"none of the {count} files can be a sample: {faults[0].samples[0] if faults else 'there is no file'}")
    near, policy = NearIndex(thumbnails, [picture.thumbnail for picture in pictures]), job.checks.duplicates
    grouped = group(pictures, near, policy, group_by=splits.group_by, stratify_by=splits.stratify_by, previous=previous)
    del pictures, near
    placed = assign(grouped.groups, {"train": splits.train, "val": splits.val, "test": splits.test}, splits.seed)
    present = {picture.id for picture in grouped.pictures} if previous else set()
    departed = [Departed(id=each.id, split=each.split, group=each.group) for _, each in sorted(previous.items()) if each.id not in present]
    samples = ((_sample(picture, grouped, placed, job.checks), picture) for picture in grouped.pictures)
    frozen = freeze(work.store, work.folder, samples, spool, task=job.task, seed=splits.seed, departed=departed)
    classes = Counter[str]()
    for shown in frozen.manifest.counts.values():
        classes.update(shown)
    return frozen, [*faults, *grouped.findings, *check(classes, frozen.manifest.counts, job.checks, contract_of(job.task))]


def _read_all(work: Work[SnapshotJob], candidates: deque[Candidate], known: Mapping[str, Sample | Departed]) -> Iterator[Read]:
    """Read, hash and decode every file, and make a blob of each sample that no earlier version has. It empties `candidates`."""
    medium = task_of(work.job.task).medium

    def freeze_one(candidate: Candidate) -> Read:
        content = candidate.content(work.store)
        reading = medium.read(content)
        if not reading.fault and reading.digest not in known:
            candidate.freeze(work.store, content, reading.digest)
        return Read(candidate, reading, content if len(content) <= SHARDED_BYTES else None)

    said, count = time.monotonic(), len(candidates)
    taken = (candidates.popleft() for _ in range(count))
    for number, read in enumerate(parallel_map(freeze_one, taken, THREADS), start=1):
        yield read
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            work.say(f"read {number} of {count} files", metrics={"files": number, "of": count})


def _previous(store: Store, digest: str) -> dict[str, Sample | Departed]:
    """The samples of the previous version, and of all versions before it, by id."""
    try:
        manifest = Manifest.model_validate_json(store.get_blob(digest))
        annotation = contract_of(manifest.task).annotation
        lines = store.get_blob(manifest.samples).splitlines()
        gone = store.get_blob(manifest.departed).splitlines() if manifest.departed is not None else []
        found: list[Sample | Departed] = [read_sample(line, annotation) for line in lines]
        found += [Departed.model_validate_json(line) for line in gone]
        return {each.id: each for each in found}
    except ValueError as error:
        raise BadData(f"the previous manifest {digest} cannot be read, so splits cannot be kept: {error}") from error


def _sample(picture: Picture, grouped: Grouped, placed: Mapping[str, str], checks: Checks) -> Sample:
    name = grouped.group_of[picture.id]
    return Sample.model_validate(
        {
            "id": picture.id,
            "bytes": picture.bytes,
            "extension": picture.extension,
            "split": placed[name],
            "annotation": picture.annotation,
            "group": name,
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
