"""The present attempt ends without a result."""

from __future__ import annotations

from datetime import datetime

from bramble.api.conditions import find
from bramble.contracts.cause import describe_cause
from bramble.kinds.jobs.lifecycle import ATTEMPT_FAILED
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report
from bramble.kinds.trainingrun.attempt import Ending, Overran
from bramble.kinds.trainingrun.budgets import charge, close_attempt, deadline_exceeded
from bramble.kinds.trainingrun.kept_output import output_seen
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import ENDING, PODS_REFUSED, STARTING, outcome, run_ended, under_way


def attempt_fails(seen: Observed, now: datetime) -> Plan | None:
    """Show the first cause as soon as it is likely. Charge a budget for it once it is settled."""
    match seen.state:
        case Overran():
            return _overran(seen, now)
        case Ending(stage="early", look_at=look_at):
            return Plan(wake_at=look_at)
        case Ending(stage="settled") as ending:
            return _charge(seen, ending, now)
        case Ending() as ending:
            return _show(seen, ending, now)
        case _:
            return None


def _show(seen: Observed, ending: Ending, now: datetime) -> Plan:
    likely = ending.stage == "likely"
    why = describe_cause(ending.cause) if likely else "a rank has ended, and another one that may know why has not reported yet"
    update = under_way(seen.status, "Training", ENDING, f"attempt {seen.status.attempt} is ending: {why}")
    if likely and seen.status.first_cause != ending.cause:
        return remember(seen.run, update, now, first_cause=ending.cause)
    return report(seen.run, update, now, wake_at=ending.look_at)


def _charge(seen: Observed, ending: Ending, now: datetime) -> Plan:
    output = output_seen(seen.listing) if seen.listing is not None else seen.status.kept_output
    charged = charge(seen, ending.cause, output)
    memory = close_attempt(seen, now) | charged.memory | {"kept_output": output}
    if not charged.reason:
        return remember(seen.run, under_way(seen.status, "Training", ATTEMPT_FAILED, charged.message), now, **memory)
    final = outcome(charged.reason, charged.message, now)
    return remember(seen.run, run_ended(final, seen.status.evaluation), now, **memory, outcome=final)


def _overran(seen: Observed, now: datetime) -> Plan:
    memory = close_attempt(seen, now)
    shown = find(seen.status.conditions, "Ready")
    obstacle = shown["message"] if shown is not None and shown["reason"] in (STARTING, PODS_REFUSED) else ""
    final = deadline_exceeded(seen.spec, memory["spent_seconds"], now, obstacle)
    return remember(seen.run, run_ended(final, seen.status.evaluation), now, **memory, outcome=final)
