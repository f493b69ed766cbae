"""Of two Rollouts of one model on a fleet, only one may write the assignment: the one that already has, else the older."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import report_rollout, waiting


def yield_to_rival(seen: Observed, now: datetime) -> Plan | None:
    """Do nothing while another Rollout has precedence, and name it. When it is deleted this one goes on."""
    if seen.rival is None:
        return None
    message = f"Rollout {seen.rival!r} has the same model on fleet {seen.fleet.name!r} already; delete one of the two"
    return report_rollout(seen, waiting(seen, reasons.SUPERSEDED, message, degraded=True), now)
