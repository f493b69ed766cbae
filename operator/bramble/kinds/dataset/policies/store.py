"""A store that cannot be used."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.status import not_snapshotted
from bramble.kinds.plan import Plan
from bramble.kinds.writing import report

LOOK_AGAIN = timedelta(seconds=10)
"""Secrets are not watched (the operator may read one by name, no more), so somebody has to look."""


def store(seen: Observed, now: datetime) -> Plan | None:
    """Say what is wrong with the store, and look again: nothing is lost by waiting."""
    if seen.store is None:
        return None
    stated = not_snapshotted(seen.store.reason, seen.store.message)
    return report(seen.dataset, stated, now, wake_at=now + LOOK_AGAIN)
