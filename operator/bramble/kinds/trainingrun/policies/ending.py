"""An attempt that ends without a result."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report
from bramble.kinds.trainingrun.causes import Ending
from bramble.kinds.trainingrun.deadline import exceeded
from bramble.kinds.trainingrun.ends import charge, ended_attempt
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.state import Overran, state_of
from bramble.kinds.trainingrun.status import ATTEMPT_FAILED, ENDING, ended, outcome, told_cause, under_way


def ending(seen: Observed, now: datetime) -> Plan | None:
    """Show the first cause as soon as the ranks have had their time to speak; charge the budget once it is settled."""
    state = state_of(seen, now)
    if isinstance(state, Overran):
        return _overran(seen, now)
    if not isinstance(state, Ending):
        return None
    if state.settled:
        return _settle(seen, state, now)
    if not state.heard:
        return Plan(wake_at=state.next_look)
    why = told_cause(state.cause) if state.shown else "a rank has ended, and one that may know why has not spoken yet"
    stated = under_way(seen.status, "Training", ENDING, f"attempt {seen.status.attempt} is ending: {why}")
    if state.shown and seen.status.first_cause != state.cause:
        return remember(seen.run, stated, now, first_cause=state.cause)
    return report(seen.run, stated, now, wake_at=state.next_look)


def _settle(seen: Observed, state: Ending, now: datetime) -> Plan:
    charged = charge(seen, state.cause)
    memory = ended_attempt(seen, now) | charged.memory
    if not charged.over:
        return remember(seen.run, under_way(seen.status, "Training", ATTEMPT_FAILED, charged.message), now, **memory)
    final = outcome(charged.over, charged.message, now)
    return remember(seen.run, ended(final, seen.status.evaluation), now, **memory, outcome=final)


def _overran(seen: Observed, now: datetime) -> Plan:
    memory = ended_attempt(seen, now)
    final = exceeded(seen.spec, memory["spent_seconds"], now)
    return remember(seen.run, ended(final, seen.status.evaluation), now, **memory, outcome=final)
