"""A snapshot whose result has been recorded."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.status import snapshotted
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import report


def recorded(seen: Observed, now: datetime) -> Plan | None:
    """Report what was recorded. Its Job is not created again, even if somebody deletes it."""
    if not seen.is_recorded:
        return None
    status = seen.dataset.status
    return report(seen.dataset, snapshotted(status.version, status.samples, bool(status.passed), status.findings), now)
