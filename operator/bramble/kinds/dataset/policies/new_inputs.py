"""A spec that no attempt has snapshotted yet."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.render import inputs_of
from bramble.kinds.dataset.status import REASON_SNAPSHOTTING, not_snapshotted
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember


def new_inputs(seen: Observed, now: datetime) -> Plan | None:
    """Begin an attempt for the spec as it is now, with fresh budgets."""
    status, inputs = seen.dataset.status, inputs_of(seen.dataset.spec)
    if status.inputs == inputs:
        return None
    stated = not_snapshotted(REASON_SNAPSHOTTING, f"snapshot attempt {status.attempt + 1} begins")
    return remember(seen.dataset, stated, now, inputs=inputs, attempt=status.attempt + 1, failures=0, disruptions=0, first_cause=None)
