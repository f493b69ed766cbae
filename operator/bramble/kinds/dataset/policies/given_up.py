"""A snapshot that was given up."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.status import snapshot_failed
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import report


def given_up(seen: Observed, now: datetime) -> Plan | None:
    """Report the cause until the spec changes or somebody requests a snapshot."""
    cause = seen.dataset.status.first_cause
    if cause is None or not seen.is_given_up:
        return None
    return report(seen.dataset, snapshot_failed(cause), now)
