"""Two Rollouts of one model on a fleet: the one that devices hear has it, else the older."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.stating import act, waiting


def superseded(seen: Observed, now: datetime) -> Plan | None:
    """Stand back and say for whom; go on when the other is deleted."""
    if seen.rival is None:
        return None
    message = f"Rollout {seen.rival!r} has the same model on fleet {seen.fleet.name!r} already; delete one of the two"
    return act(seen, waiting(seen, "Superseded", message, degraded=True), now)
