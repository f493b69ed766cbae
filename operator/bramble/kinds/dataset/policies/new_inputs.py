"""A spec that no attempt has snapshotted yet."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.render import inputs_of
from bramble.kinds.dataset.status import snapshotting
from bramble.kinds.jobs.attempts import with_fresh_budgets
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember


def new_inputs(seen: Observed, now: datetime) -> Plan | None:
    """Begin an attempt for the present spec, with fresh budgets."""
    inputs = inputs_of(seen.dataset.spec)
    if seen.dataset.status.inputs == inputs:
        return None
    attempts = with_fresh_budgets(seen.attempts)
    update = snapshotting(f"snapshot attempt {attempts.attempt} begins")
    return remember(seen.dataset, update, now, inputs=inputs, first_cause=None, **attempts.counters())
