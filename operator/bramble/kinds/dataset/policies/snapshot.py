"""The present attempt at the snapshot."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.jobs.snapshot import SnapshotResult
from bramble.kinds.dataset.observed import SNAPSHOT, Observed
from bramble.kinds.dataset.render import snapshot_step
from bramble.kinds.dataset.status import findings_of, memory_of, samples_of, snapshot_failed, snapshotted, snapshotting
from bramble.kinds.jobs.lifecycle import ATTEMPT_FAILED, Finished, GivenUp, NotFiled, Renewed, Repeated, UnderWay, advance
from bramble.kinds.jobs.waiting import look_again
from bramble.kinds.plan import Emit, Plan
from bramble.kinds.status_update import remember, report


def snapshot(seen: Observed, now: datetime) -> Plan | None:
    """Create its Job, wait for it, then record its result, begin another attempt, or give up."""
    dataset, status = seen.dataset, seen.dataset.status
    if seen.snapshot is None:
        return None
    match advance(SNAPSHOT, seen.attempts, snapshot_step(seen), seen.snapshot, SnapshotResult, now=now):
        case UnderWay(message, items, since):
            return report(dataset, snapshotting(message), now, items=items, wake_at=look_again(since, now))
        case NotFiled(item):
            return Plan(items=(item,), wake_at=now)
        case Finished(result):
            update = snapshotted(result.manifest, samples_of(result), result.passed, findings_of(result))
            return remember(dataset, update, now, **memory_of(status, result, now))
        case Repeated(attempts, cause, message):
            event = Emit("Normal", ATTEMPT_FAILED, message)
            return remember(dataset, snapshotting(message), now, events=(event,), first_cause=cause, **attempts.counters())
        case Renewed(attempts, message):
            return remember(dataset, snapshotting(message), now, **attempts.counters())
        case GivenUp(attempts, cause):
            return remember(dataset, snapshot_failed(cause), now, first_cause=cause, **attempts.counters())
