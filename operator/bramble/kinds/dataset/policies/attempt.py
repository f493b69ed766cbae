"""The attempt that memory names: made, waited for, recorded, or followed by another."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.jobs.snapshot import SnapshotResult
from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.policies.given_up import failure
from bramble.kinds.dataset.render import render
from bramble.kinds.dataset.status import REASON_SNAPSHOTTING, findings_of, not_snapshotted, recorded, samples_of, snapshotted
from bramble.kinds.jobs.attempts import after, overdrawn
from bramble.kinds.jobs.state import Absent, Done, Failed, Running, Waiting, step_state
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import StatusUpdate, remember, report


def attempt(seen: Observed, now: datetime) -> Plan | None:
    """One step further with the present attempt."""
    if seen.snapshot is None:
        return None
    match step_state(seen.snapshot):
        case Absent():
            return report(seen.dataset, _under_way(seen, "is being made"), now, items=render(seen))
        case Waiting(message):
            return report(seen.dataset, not_snapshotted(REASON_SNAPSHOTTING, message), now)
        case Running(node):
            return report(seen.dataset, _under_way(seen, f"runs on node {node}"), now)
        case Done(result) if isinstance(result, SnapshotResult):
            return _record(seen, result, now)
        case Failed() as failed:
            return _next(seen, failed, now)
        case _:
            return None


def _under_way(seen: Observed, what: str) -> StatusUpdate:
    return not_snapshotted(REASON_SNAPSHOTTING, f"snapshot attempt {seen.dataset.status.attempt} {what}")


def _record(seen: Observed, result: SnapshotResult, now: datetime) -> Plan:
    stated = snapshotted(result.manifest, samples_of(result), result.passed, findings_of(result))
    return remember(seen.dataset, stated, now, **recorded(seen.dataset.status, result, now))


def _next(seen: Observed, failed: Failed, now: datetime) -> Plan:
    """Another attempt while the budgets last; else the cause stands, with its budget overdrawn."""
    dataset, status, cause = seen.dataset, seen.dataset.status, failed.cause
    spent = after(failed, seen.spent)
    if spent is None:
        over = overdrawn(failed, seen.spent)
        return remember(dataset, failure(cause), now, first_cause=cause, failures=over.failures, disruptions=over.disruptions)
    message = f"snapshot attempt {status.attempt} failed ({cause.message}); attempt {status.attempt + 1} begins"
    return remember(
        dataset,
        not_snapshotted(REASON_SNAPSHOTTING, message),
        now,
        first_cause=cause,
        attempt=status.attempt + 1,
        failures=spent.failures,
        disruptions=spent.disruptions,
    )
