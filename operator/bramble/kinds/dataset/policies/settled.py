"""An attempt whose result is recorded."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.status import snapshotted
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import report


def settled(seen: Observed, now: datetime) -> Plan | None:
    """Say what was recorded, and nothing else: its Job never comes back, whatever became of it."""
    if not seen.is_recorded:
        return None
    status = seen.dataset.status
    return report(seen.dataset, snapshotted(status.version, status.samples, bool(status.passed), status.findings), now)
