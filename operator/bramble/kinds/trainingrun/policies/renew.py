"""No rank of the present attempt has begun to fetch its data, and the attempt would be made otherwise now."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.jobs.lifecycle import renewed_message
from bramble.kinds.jobs.waiting import is_outdated
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember
from bramble.kinds.trainingrun.attempt import FETCH, TRAIN, Waiting
from bramble.kinds.trainingrun.budgets import close_attempt
from bramble.kinds.trainingrun.engines.catalogue import engine_of
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import BETWEEN_ATTEMPTS, under_way


def renew(seen: Observed, now: datetime) -> Plan | None:
    """End the attempt, so that the next one is made from what the spec and the chart ask for by now. No budget is charged.

    Once Kueue has given an attempt room and it has pods, it keeps them: another attempt would have to queue again.
    """
    status, current = seen.status, seen.status.current
    if seen.attempt is None or current is None or not isinstance(seen.state, Waiting):
        return None
    pods = seen.attempt.pods.values()
    if (pods and seen.spec.queue_name is not None) or not is_outdated(
        seen.job, pods, (FETCH, TRAIN), engine_of(seen.spec).attempt_children(seen, current)
    ):
        return None
    message = renewed_message(f"attempt {current.number}", current.number + 1)
    return remember(seen.run, under_way(status, "Training", BETWEEN_ATTEMPTS, message), now, **close_attempt(seen, now))
