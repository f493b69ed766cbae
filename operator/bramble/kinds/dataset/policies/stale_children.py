"""What is left of earlier attempts."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.dataset.observed import Observed
from bramble.kinds.jobs.attempts import stale
from bramble.kinds.plan import Plan


def stale_children(seen: Observed, now: datetime) -> Plan | None:  # noqa: ARG001 - every policy has this form
    """Delete Jobs and ConfigMaps below the present attempt on sight: a leader that stalled may have made one."""
    deletes = stale(seen.children, seen.dataset.status.attempt)
    return Plan(items=deletes) if deletes else None
