"""A namespace whose store cannot be used."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.blockers import store_wait
from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.status import not_snapshotted
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import report


def wait_for_store(seen: Observed, now: datetime) -> Plan | None:
    """Report what is wrong with the store, and look again later."""
    if seen.store is None:
        return None
    wake_at = now + store_wait(seen.store, seen.dataset.status.conditions, now)
    return report(seen.dataset, not_snapshotted(seen.store.reason, seen.store.message), now, wake_at=wake_at)
