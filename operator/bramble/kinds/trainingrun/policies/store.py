"""A store that cannot be used."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.kinds.plan import Plan
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import not_admitted, under_way
from bramble.kinds.writing import report

LOOK_AGAIN = timedelta(seconds=15)
"""Secrets are not watched."""


def store(seen: Observed, now: datetime) -> Plan | None:
    """Wait until the namespace's store takes the key: without it nothing can be known of an attempt, and none can begin."""
    if seen.store is None:
        return None
    reason, message = seen.store.reason, seen.store.message
    if seen.status.dataset is None:
        stated = not_admitted(seen.status, reason, message)
    else:
        stated = under_way(seen.status, seen.status.phase or "Pending", reason, message)
    return report(seen.run, stated, now, wake_at=now + LOOK_AGAIN)
