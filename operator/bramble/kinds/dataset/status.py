"""What a Dataset's status says: its conditions, and what of a result it keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bramble.api.conditions import Condition, Truth, rfc3339
from bramble.api.dataset import FindingSeen, Samples, Status, Version
from bramble.contracts.canonical import short
from bramble.contracts.jobs.snapshot import SnapshotResult
from bramble.kinds.jobs.state import COUNTS_AS
from bramble.kinds.jobs.store import STORE_EVENTS
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
"""Reasons that are worth an event (`StatusUpdate.events`). A cause becomes a reason when no further attempt follows."""

VERSIONS_KEPT = 10
CLASSES_SHOWN = 50
SAMPLES_SHOWN = 20


def not_snapshotted(reason: str, message: str, *, failed: bool = False) -> StatusUpdate:
    """The present spec has no version yet."""
    conditions = (
        not_ready(reason, message),
        Condition(SNAPSHOTTED, "False", reason, message),
        Condition(CHECKS_PASSED, "Unknown", reason, "the checks run with the snapshot"),
    )
    return StatusUpdate("Failed" if failed else "Snapshotting", conditions, EVENTS)


def snapshotted(version: str, samples: Samples | None, passed: bool, findings: tuple[FindingSeen, ...]) -> StatusUpdate:
    """The present spec is frozen; whether training may begin is what the checks found."""
    count = f"{samples.total:,} samples in {samples.classes} classes" if samples is not None else "samples"
    message = f"{count}, frozen as {short(version)}"
    truth: Truth = "True" if passed else "False"
    reason = REASON_PASSED if passed else REASON_FAILED
    found = _told(findings) if not passed else "every check passed"
    conditions = (
        ready(REASON_SNAPSHOTTED, message) if passed else not_ready(REASON_FAILED, found),
        Condition(SNAPSHOTTED, "True", REASON_SNAPSHOTTED, message),
        Condition(CHECKS_PASSED, truth, reason, found),
    )
    return StatusUpdate("Ready" if passed else "Failed", conditions, EVENTS)


def _told(findings: tuple[FindingSeen, ...]) -> str:
    errors = [finding for finding in findings if finding.severity == "error"]
    told = "; ".join(f"{finding.check}: {finding.message}" for finding in errors)
    return f"{told}. Mend the sources or spec.checks, then request a snapshot (status.findings names the samples)"


def findings_of(result: SnapshotResult) -> tuple[FindingSeen, ...]:
    """Errors first, each with as many samples as a status can hold."""
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
    """Counts by split and by class."""
    per_class: Counter[str] = Counter()
    for counts in result.counts.values():
        per_class.update(counts)
    return Samples(
        total=result.samples,
        bytes=result.bytes,
        classes=len(result.classes),
        splits={split: sum(counts.values()) for split, counts in result.counts.items()},
        per_class=dict(sorted(per_class.items())[:CLASSES_SHOWN]),
    )


def recorded(status: Status, result: SnapshotResult, now: datetime) -> dict[str, Any]:
    """The memory of a finished attempt, and what is told of it. The same pictures are the same version as before."""
    version = Version(version=result.manifest, attempt=status.attempt, samples=result.samples, at=rfc3339(now))
    before = status.versions
    if before and before[0].version == result.manifest:
        version, before = before[0].model_copy(update={"attempt": status.attempt}), before[1:]
    return {
        "version": result.manifest,
        "versions": (version, *before)[:VERSIONS_KEPT],
        "passed": result.passed,
        "first_cause": None,
        "samples": samples_of(result),
        "findings": findings_of(result),
        "findings_uri": result.findings_key,
    }
