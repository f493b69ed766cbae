"""A store that cannot be used."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.api.conditions import find
from bramble.api.objects import moment
from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.status import not_snapshotted
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import READY, report

SOONEST, LATEST = timedelta(seconds=5), timedelta(seconds=60)
PATIENCE = 5
"""Secrets are not watched (the operator may read one by name, no more), so somebody has to look: the next time after a
fifth of the time that it has been so, so that a thousand Datasets without a store cost nothing."""


def store(seen: Observed, now: datetime) -> Plan | None:
    """Say what is wrong with the store, and look again: nothing is lost by waiting."""
    if seen.store is None:
        return None
    return report(seen.dataset, not_snapshotted(seen.store.reason, seen.store.message), now, wake_at=now + _wait(seen, now))


def _wait(seen: Observed, now: datetime) -> timedelta:
    ready = find(seen.dataset.status.conditions, READY)
    since = now - moment(ready["lastTransitionTime"]) if ready is not None else timedelta()
    return min(max(since / PATIENCE, SOONEST), LATEST)
