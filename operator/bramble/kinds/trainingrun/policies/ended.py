"""The run is over."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report
from bramble.kinds.trainingrun.budgets import seconds_left
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import (
    BETWEEN_ATTEMPTS,
    DEADLINE_EXCEEDED,
    DISRUPTIONS_SPENT,
    FAILURES_SPENT,
    run_ended,
    under_way,
)


def ended(seen: Observed, now: datetime) -> Plan | None:
    """Report how it ended. If the budget that it had used up was raised since, the run goes on."""
    outcome = seen.status.outcome
    if outcome is None:
        return None
    if _was_raised(seen, outcome.reason):
        update = under_way(seen.status, "Pending", BETWEEN_ATTEMPTS, "a budget was raised: the run goes on")
        return remember(seen.run, update, now, outcome=None)
    return report(seen.run, run_ended(outcome, seen.status.evaluation), now)


def _was_raised(seen: Observed, reason: str) -> bool:
    """Whether the budget that ended the run now allows another attempt."""
    budgets, status = seen.spec.budgets, seen.status
    allowed = {
        FAILURES_SPENT: status.failures <= budgets.failures,
        DISRUPTIONS_SPENT: status.disruptions <= budgets.disruptions,
        DEADLINE_EXCEEDED: seconds_left(seen.spec, status.spent_seconds) > 0,
    }
    return allowed.get(reason, False)
