"""A step of a run that is a Job of its own, packaging or evaluation, and has no result yet. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from bramble.api.objects import StepAttempts
from bramble.kinds.jobs.lifecycle import ATTEMPT_FAILED, GivenUp, NotFiled, Renewed, Repeated, UnderWay
from bramble.kinds.jobs.waiting import look_again
from bramble.kinds.plan import Emit, Plan
from bramble.kinds.status_update import StatusUpdate, remember, report
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import outcome, run_ended


def plan_unfinished(
    seen: Observed,
    step: UnderWay | NotFiled | Repeated[StepAttempts] | Renewed[StepAttempts] | GivenUp[StepAttempts],
    now: datetime,
    show: Callable[[str], StatusUpdate],
    *,
    memory: Literal["packaging", "evaluating"],
    failed: str,
    remedy: str,
) -> Plan:
    """Show how far the step is, file its result, begin another attempt, or end the run.

    Args:
        step: what `advance` says of the step.
        show: the update while the step is under way, from a message.
        memory: the field of the status with the step's attempts.
        failed: the reason of a run that ends because the step failed.
        remedy: what to do then.
    """
    match step:
        case UnderWay(message, items, since):
            return report(seen.run, show(message), now, items=items, wake_at=look_again(since, now))
        case NotFiled(item):
            return Plan(items=(item,), wake_at=now)
        case Repeated(following, cause, message):
            event = Emit("Normal", ATTEMPT_FAILED, message)
            fields: dict[str, Any] = {"first_cause": cause, memory: following}
            return remember(seen.run, show(message), now, events=(event,), **fields)
        case Renewed(following, message):
            renewed: dict[str, Any] = {memory: following}
            return remember(seen.run, show(message), now, **renewed)
        case GivenUp(charged, cause, message):
            final = outcome(failed, f"{message}. {remedy}", now)
            fields = {"first_cause": cause, memory: charged, "outcome": final}
            return remember(seen.run, run_ended(final, None), now, **fields)
