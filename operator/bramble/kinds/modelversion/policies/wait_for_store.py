"""A namespace whose store cannot be used."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.blockers import store_wait
from bramble.kinds.modelversion.observed import Observed
from bramble.kinds.modelversion.status import EVENTS, report_version
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import StatusUpdate, not_ready


def wait_for_store(seen: Observed, now: datetime) -> Plan | None:
    """Report what is wrong with the store, and look again later. Results cannot be read without it."""
    if seen.store is None:
        return None
    update = StatusUpdate(seen.status.phase or "Pending", (not_ready(seen.store.reason, seen.store.message),), EVENTS)
    return report_version(seen, update, now, wake_at=now + store_wait(seen.store, seen.status.conditions, now))
