"""The source of a ModelVersion."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.api.modelversion import RUNNING, Conversion
from bramble.kinds.blockers import store_wait
from bramble.kinds.modelversion.observed import Observed
from bramble.kinds.modelversion.status import converting, no_source, pinned_message, remember_version, report_version
from bramble.kinds.plan import Plan

LOOK_AGAIN = timedelta(seconds=15)
"""How soon to look for a package again: nothing tells the operator that a package was uploaded."""


def pin_source(seen: Observed, now: datetime) -> Plan | None:
    """Wait for the source, then remember its digests and begin the conversion. Later changes of the source have no effect."""
    if seen.status.lineage is not None:
        return None
    if seen.store is not None:
        wake_at = now + store_wait(seen.store, seen.status.conditions, now)
        return report_version(seen, no_source(seen.store.reason, seen.store.message), now, wake_at=wake_at)
    blocker = seen.source_blocker
    if blocker is not None:
        in_store = seen.spec.source.package is not None
        return report_version(seen, no_source(blocker.reason, blocker.message), now, wake_at=now + LOOK_AGAIN if in_store else None)
    if seen.lineage is None:
        return None
    update = converting(pinned_message(seen.lineage.package))
    return remember_version(seen, update, now, lineage=seen.lineage, conversion=Conversion(attempt=1, state=RUNNING))
