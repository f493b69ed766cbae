"""A store that cannot be used."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.blockers import store_wait
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import report
from bramble.kinds.trainingrun.causes import ending
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import not_admitted, told_cause, under_way


def store(seen: Observed, now: datetime) -> Plan | None:
    """Wait until the namespace's store takes the key: without it no attempt can begin, and none that ended can be judged.

    Why it ended is told meanwhile as far as its pods say it.
    """
    if seen.store is None:
        return None
    reason, message, wake_at = seen.store.reason, seen.store.message, now + store_wait(seen.store, seen.status.conditions, now)
    if seen.status.dataset is None:
        return report(seen.run, not_admitted(seen.status, reason, message), now, wake_at=wake_at)
    end = ending(seen.attempt, {node.name: node for node in seen.nodes}, now) if seen.attempt is not None else None
    if end is not None and end.shown:
        message = f"{message}; attempt {seen.status.attempt} is ending, and its pods say: {told_cause(end.cause)}"
    return report(seen.run, under_way(seen.status, seen.status.phase or "Pending", reason, message), now, wake_at=wake_at)
