"""The present attempt holds nodes and cannot train, or waits until its Job's deadline."""

from __future__ import annotations

from datetime import datetime

from bramble.api.trainingrun import Released
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember
from bramble.kinds.trainingrun.attempt import Waiting
from bramble.kinds.trainingrun.budgets import close_attempt
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import INCOMPLETE, under_way


def release_part(seen: Observed, now: datetime) -> Plan | None:
    """End the attempt, so that its pods hold no nodes while others may need them, and try again later. No budget is charged.

    Two runs that each hold half of the GPUs would otherwise wait for each other for ever, and a run whose image cannot be pulled would hold
    its GPUs until its deadline.
    """
    state, status = seen.state, seen.status
    if not isinstance(state, Waiting) or state.release_at is None or state.release_at > now:
        return None
    times = status.released.times + 1 if status.released is not None else 1
    memory = close_attempt(seen, now) | {"released": Released(times=times, message=state.message)}
    message = f"attempt {status.attempt} did not begin to train and was ended, which is charged to no budget: {state.message}"
    return remember(seen.run, under_way(status, "Training", INCOMPLETE, message), now, **memory)
