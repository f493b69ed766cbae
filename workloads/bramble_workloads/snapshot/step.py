"""The step `snapshot`: makes a version of a Dataset from the present content of its sources. A version never changes afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bramble.contracts.canonical import canonical_json
from bramble.contracts.jobs.snapshot import Checks, Finding, SnapshotJob, SnapshotResult
from bramble.contracts.manifest import SPLITS, Departed, Manifest, Sample, read_sample
from bramble.contracts.tasks.catalogue import contract_of
from bramble_workloads.errors import BadData, SpecError
from bramble_workloads.job import Work, run
from bramble_workloads.snapshot.checks import check
from bramble_workloads.snapshot.findings import shortened
from bramble_workloads.snapshot.freeze import counts_of, freeze
from bramble_workloads.snapshot.grouping import Grouped, group
from bramble_workloads.snapshot.near import NearIndex
from bramble_workloads.snapshot.samples import Picture, distinct
from bramble_workloads.snapshot.sources.base import Candidate
from bramble_workloads.snapshot.sources.catalogue import reader_of
from bramble_workloads.snapshot.splits import assign
from bramble_workloads.store import Store
from bramble_workloads.tasks.base import Reading
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
    candidates = [candidate for listing in listings for candidate in listing.candidates]
    work.say(f"{len(candidates)} files in {len(listings)} sources")
    pictures, faults = distinct(_read_all(work, candidates, previous))
    if not pictures:
        raise BadData(f"none of the {len(candidates)} files can be a sample: {faults[0].samples[0] if faults else 'there is no file'}")
    grouped = group(
        pictures,
        NearIndex([picture.thumbnail for picture in pictures]),
        job.checks.duplicates,
        group_by=job.splits.group_by,
        stratify_by=job.splits.stratify_by,
        previous=previous,
    )
    placed = assign(grouped.groups, ratios, job.splits.seed)  # type: ignore[arg-type]
    samples = [_sample(picture, grouped, placed, job.checks) for picture in grouped.pictures]
    small = {picture.id: path for picture in grouped.pictures if (path := _spooled(work.folder, picture.id)).exists()}
    present = {sample.id for sample in samples}
    departed = [Departed(id=each.id, split=each.split, group=each.group) for _, each in sorted(previous.items()) if each.id not in present]
    digest, manifest = freeze(store, samples, small, task=job.task, seed=job.splits.seed, departed=departed)
    found = [finding for listing in listings for finding in listing.findings]
    found += [*faults, *grouped.findings, *check(samples, manifest.counts, job.checks, contract_of(job.task))]
    work.say(f"manifest {digest}: {len(samples)} samples of {len(manifest.classes)} classes, {len(found)} findings")
    return _result(work, digest, manifest, samples, found)


def _read_all(
    work: Work[SnapshotJob], candidates: list[Candidate], known: Mapping[str, Sample | Departed]
) -> Iterator[tuple[Candidate, Reading]]:
    """Read, hash and decode every file, and make a blob of each sample that no earlier version has."""
    medium = task_of(work.job.task).medium

    def freeze_one(candidate: Candidate) -> Reading:
        content = candidate.content(work.store)
        reading = medium.read(content)
        if not reading.fault:
            if reading.digest not in known:
                candidate.freeze(work.store, content, reading.digest)
            if len(content) <= SHARDED_BYTES:
                _spooled(work.folder, reading.digest).write_bytes(content)
        return reading

    said = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        for number, (candidate, reading) in enumerate(zip(candidates, pool.map(freeze_one, candidates), strict=True), start=1):
            yield candidate, reading
            if time.monotonic() - said >= SAY_SECONDS:
                said = time.monotonic()
                work.say(f"read {number} of {len(candidates)} files", metrics={"files": number, "of": len(candidates)})


def _spooled(folder: Path, digest: str) -> Path:
    return folder / digest.removeprefix("sha256:")


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


def _result(work: Work[SnapshotJob], digest: str, manifest: Manifest, samples: Iterable[Sample], found: list[Finding]) -> SnapshotResult:
    key = f"{work.job.prefix}findings.json"
    work.store.put(key, canonical_json([json.loads(finding.model_dump_json()) for finding in found]))
    samples = list(samples)
    return SnapshotResult(
        seconds=work.seconds,
        manifest=digest,
        counts={split: dict(classes) for split, classes in counts_of(samples).items()},
        splits={split: sum(sample.split == split for sample in samples) for split in SPLITS},
        classes=manifest.classes,
        samples=len(samples),
        bytes=sum(sample.bytes for sample in samples),
        passed=all(finding.severity != "error" for finding in found),
        findings=shortened(found),
        findings_key=key,
    )
