"""The present attempt has no pod, and would be made otherwise now."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.jobs.lifecycle import renewed_message
from bramble.kinds.jobs.waiting import is_outdated
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember
from bramble.kinds.trainingrun.attempt import Waiting
from bramble.kinds.trainingrun.budgets import close_attempt
from bramble.kinds.trainingrun.engines.catalogue import engine_of
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import BETWEEN_ATTEMPTS, under_way


def renew(seen: Observed, now: datetime) -> Plan | None:
    """End the attempt, so that the next one is made from what the spec and the chart ask for by now. No budget is charged."""
    status, current = seen.status, seen.status.current
    if seen.attempt is None or current is None or not isinstance(seen.state, Waiting):
        return None
    if not is_outdated(seen.job, seen.attempt.pods, engine_of(seen.spec).attempt_children(seen, current)):
        return None
    message = renewed_message(f"attempt {current.number}", current.number + 1)
    memory = close_attempt(seen, now) | {"spent_seconds": status.spent_seconds}
    return remember(seen.run, under_way(status, "Training", BETWEEN_ATTEMPTS, message), now, **memory)
