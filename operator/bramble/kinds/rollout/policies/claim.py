"""The finalizer, before anything else is written: a Rollout that is gone could not take its model back."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.finalizer import add_finalizer, has_finalizer
from bramble.kinds.plan import Plan
from bramble.kinds.rollout.observed import Observed


def claim(seen: Observed, now: datetime) -> Plan | None:
    """Add the finalizer where it is missing."""
    del now
    return None if has_finalizer(seen.metadata) else Plan((add_finalizer(seen.metadata),))
