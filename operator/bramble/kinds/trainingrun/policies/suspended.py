"""Somebody has suspended the run."""

from __future__ import annotations

from datetime import datetime

from bramble.api.objects import StepAttempts
from bramble.kinds.jobs.attempts import next_attempt
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.state import Absent, Done, step_state
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import StatusUpdate, remember, report
from bramble.kinds.trainingrun.budgets import close_attempt
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import SUSPENDED, under_way


def suspended(seen: Observed, now: datetime) -> Plan | None:
    """End the present attempt, which is charged to no budget, and begin none. A run that has trained is still evaluated.

    If the store cannot be read, wait: the present attempt may have left its result there.
    """
    status = seen.status
    begun = status.current is not None or status.packaging is not None
    if not seen.spec.suspend or status.package is not None or (begun and seen.store is not None):
        return None
    if status.packaging is not None and seen.packaging is not None:
        return _while_packaging(seen, status.packaging, seen.packaging, now)
    kept = seen.spec.trainer.kept_output is not None
    update = _update(seen, "package the kept output" if kept else "go on from the newest checkpoint")
    if status.current is not None or status.released is not None:  # the next attempt begins at once when the run is resumed
        return remember(seen.run, update, now, **close_attempt(seen, now))
    return report(seen.run, update, now)


def _while_packaging(seen: Observed, packaging: StepAttempts, step: StepSeen, now: datetime) -> Plan | None:
    """End the attempt at packaging, unless it is done: then its result is recorded."""
    state, update = step_state(step), _update(seen, "package the kept output")
    if isinstance(state, Done):
        return None
    if isinstance(state, Absent):
        return report(seen.run, update, now)
    return remember(seen.run, update, now, packaging=next_attempt(packaging))


def _update(seen: Observed, then: str) -> StatusUpdate:
    return under_way(seen.status, "Suspended", SUSPENDED, f"suspended by spec.suspend; set it to false to {then}")
