"""An earlier release began the present step, and did not remember what it asked for."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import figures
from bramble.kinds.rollout.steps import begun
from bramble.kinds.status_update import StatusUpdate, remember


def remember_step(seen: Observed, now: datetime) -> Plan | None:
    """Remember what the spec asks for now. Otherwise an edit of the steps could give the candidate to more nodes."""
    if seen.status.candidate is None or seen.status.begun is not None:
        return None
    unchanged = StatusUpdate(seen.status.phase, ())
    return remember(seen.rollout, unchanged, now, **{**figures(seen), "begun": begun(seen.steps, seen.index)})
