"""A store that cannot be used."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.jobs.store import look_again
from bramble.kinds.modelversion.observed import Observed
from bramble.kinds.modelversion.status import EVENTS
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import StatusUpdate, not_ready, report


def store(seen: Observed, now: datetime) -> Plan | None:
    """Wait until the namespace's store takes the key: results cannot be read without it."""
    if seen.store is None:
        return None
    stated = StatusUpdate(seen.status.phase or "Pending", (not_ready(seen.store.reason, seen.store.message),), EVENTS)
    return report(seen.version, stated, now, wake_at=now + look_again(seen.store))
