"""A run that has ended."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report
from bramble.kinds.trainingrun.deadline import left
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import BETWEEN_ATTEMPTS, DEADLINE_EXCEEDED, DISRUPTIONS_SPENT, FAILURES_SPENT, ended, under_way


def over(seen: Observed, now: datetime) -> Plan | None:
    """Say how it ended. A budget that was raised since lets it go on."""
    outcome = seen.status.outcome
    if outcome is None:
        return None
    if _raised(seen, outcome.reason):
        stated = under_way(seen.status, "Pending", BETWEEN_ATTEMPTS, "a budget was raised: the run goes on")
        return remember(seen.run, stated, now, outcome=None)
    return report(seen.run, ended(outcome, seen.status.evaluation), now)


def _raised(seen: Observed, reason: str) -> bool:
    budgets, status = seen.spec.budgets, seen.status
    enough = {
        FAILURES_SPENT: status.failures <= budgets.failures,
        DISRUPTIONS_SPENT: status.disruptions <= budgets.disruptions,
        DEADLINE_EXCEEDED: left(seen.spec, status.spent_seconds) > 0,
    }
    return enough.get(reason, False)
