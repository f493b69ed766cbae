"""The status of a Dataset: its conditions, and what it keeps of a snapshot's result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bramble.api.conditions import Condition, Truth, rfc3339
from bramble.api.dataset import FindingSeen, Samples, Status, Version
from bramble.contracts.canonical import short
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.snapshot import SnapshotResult
from bramble.kinds.blockers import STORE_EVENTS
from bramble.kinds.jobs.state import COUNTS_AS
from bramble.kinds.plan import EventType
from bramble.kinds.status_update import INVALID_SPEC, StatusUpdate, not_ready, ready

SNAPSHOTTED = "Snapshotted"
CHECKS_PASSED = "ChecksPassed"

REASON_SNAPSHOTTED = "Snapshotted"
REASON_SNAPSHOTTING = "Snapshotting"
REASON_PASSED = "ChecksPassed"
REASON_FAILED = "ChecksFailed"

EVENTS: Mapping[str, EventType] = {
    REASON_SNAPSHOTTING: "Normal",
    REASON_SNAPSHOTTED: "Normal",
    REASON_FAILED: "Warning",
    INVALID_SPEC: "Warning",
    **dict.fromkeys(COUNTS_AS, "Warning"),
    **STORE_EVENTS,
}
"""Reasons that are worth an event (`StatusUpdate.events`). The kind of a cause is the reason once no further attempt follows."""

VERSIONS_KEPT = 10
CLASSES_SHOWN = 50
SAMPLES_SHOWN = 20


def not_snapshotted(reason: str, message: str, *, failed: bool = False) -> StatusUpdate:
    """There is no version of the present spec yet. `failed`: and there will be none until somebody acts."""
    conditions = (
        not_ready(reason, message),
        Condition(SNAPSHOTTED, "False", reason, message),
        Condition(CHECKS_PASSED, "Unknown", reason, "the checks run with the snapshot"),
    )
    return StatusUpdate("Failed" if failed else "Snapshotting", conditions, EVENTS)


def snapshotting(message: str) -> StatusUpdate:
    """An attempt at the snapshot starts, waits or runs."""
    return not_snapshotted(REASON_SNAPSHOTTING, message)


def snapshot_failed(cause: Cause) -> StatusUpdate:
    """The snapshot was given up for this cause."""
    return not_snapshotted(cause.kind, f"{cause.message}. Correct it, then change the spec or request a snapshot", failed=True)


def snapshotted(version: str, samples: Samples | None, passed: bool, findings: tuple[FindingSeen, ...]) -> StatusUpdate:
    """There is a version of the present spec. Training may only use it when every check passed."""
    count = f"{samples.total:,} samples in {samples.classes} classes" if samples is not None else "samples"
    message = f"{count}, frozen as {short(version)}"
    truth: Truth = "True" if passed else "False"
    reason = REASON_PASSED if passed else REASON_FAILED
    found = "every check passed" if passed else _describe_errors(findings)
    conditions = (
        ready(REASON_SNAPSHOTTED, message) if passed else not_ready(REASON_FAILED, found),
        Condition(SNAPSHOTTED, "True", REASON_SNAPSHOTTED, message),
        Condition(CHECKS_PASSED, truth, reason, found),
    )
    return StatusUpdate("Ready" if passed else "Failed", conditions, EVENTS)


def _describe_errors(findings: tuple[FindingSeen, ...]) -> str:
    errors = "; ".join(f"{finding.check}: {finding.message}" for finding in findings if finding.severity == "error")
    return f"{errors}. Correct the sources and request a snapshot, or change the spec, which needs none; status.findings names the samples"


def findings_of(result: SnapshotResult) -> tuple[FindingSeen, ...]:
    """The result's findings, errors first, each with as many samples as a status can hold."""
    order = {"error": 0, "warning": 1, "info": 2}
    return tuple(
        FindingSeen(
            check=finding.check,
            severity=finding.severity,
            message=finding.message,
            count=finding.count,
            samples=finding.samples[:SAMPLES_SHOWN],
        )
        for finding in sorted(result.findings, key=lambda finding: order[finding.severity])
    )


def samples_of(result: SnapshotResult) -> Samples:
    """How many samples the result has, by split and by class."""
    per_class: Counter[str] = Counter()
    for counts in result.counts.values():
        per_class.update(counts)
    return Samples(
        total=result.samples,
        bytes=result.bytes,
        classes=len(result.classes),
        splits=result.splits or {split: sum(counts.values()) for split, counts in result.counts.items()},
        per_class=dict(sorted(per_class.items())[:CLASSES_SHOWN]),
    )


def memory_of(status: Status, result: SnapshotResult, now: datetime) -> dict[str, Any]:
    """The status fields that record a result. A result with the manifest of the previous version does not make another version."""
    version = Version(version=result.manifest, attempt=status.attempt, samples=result.samples, passed=result.passed, at=rfc3339(now))
    before = _with_passed(status)
    if before and before[0].version == result.manifest:
        passed = result.passed or before[0].passed
        version, before = before[0].model_copy(update={"attempt": status.attempt, "passed": passed}), before[1:]
    return {
        "version": result.manifest,
        "versions": _kept((version, *before)),
        "passed": result.passed,
        "first_cause": None,
        "samples": samples_of(result),
        "findings": findings_of(result),
        "findings_uri": result.findings_key,
    }


def _with_passed(status: Status) -> tuple[Version, ...]:
    """The recorded versions. Where an earlier release recorded the newest one, `status.passed` says whether it passed."""
    if not status.versions or status.versions[0].passed is not None:
        return status.versions
    return status.versions[0].model_copy(update={"passed": status.passed}), *status.versions[1:]


def _kept(versions: tuple[Version, ...]) -> tuple[Version, ...]:
    """The newest versions, and the newest that has passed: without it, later snapshots could not keep the splits of its samples."""
    newest, older = versions[:VERSIONS_KEPT], versions[VERSIONS_KEPT:]
    if any(each.passed is not False for each in newest):
        return newest
    passed = next((each for each in older if each.passed is not False), None)
    return newest if passed is None else (*newest[:-1], passed)


def keeps_splits(status: Status) -> str | None:
    """The newest version that has passed its checks: its samples, and those of earlier ones, keep their splits; None if there is none.

    No TrainingRun has used a version that failed its checks, so its splits bind nothing.
    """
    return next((each.version for each in _with_passed(status) if each.passed is not False), None)
