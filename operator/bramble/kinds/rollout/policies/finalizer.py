"""Adds the finalizer before anything else is written, so that a deleted Rollout can still withdraw its model from the devices."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.finalizer import add_finalizer, has_finalizer
from bramble.kinds.plan import Plan
from bramble.kinds.rollout.observed import Observed


def finalizer(seen: Observed, now: datetime) -> Plan | None:
    """Add the finalizer where it is missing."""
    del now
    return None if has_finalizer(seen.metadata) else Plan((add_finalizer(seen.metadata),))
