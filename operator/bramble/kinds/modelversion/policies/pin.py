"""Where the model comes from."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.api.modelversion import Conversion
from bramble.kinds.jobs.store import look_again
from bramble.kinds.modelversion.observed import Observed
from bramble.kinds.modelversion.status import CONVERTING, converting, pinned_message, waiting
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report

LOOK_AGAIN = timedelta(seconds=15)
"""What lies in stores is not watched."""


def pin(seen: Observed, now: datetime) -> Plan | None:
    """Wait for the source, then remember its digests for good: what becomes of the run changes nothing any more."""
    if seen.status.lineage is not None:
        return None
    if seen.store is not None:
        return report(seen.version, waiting(seen.store.reason, seen.store.message), now, wake_at=now + look_again(seen.store))
    if seen.source_hold is not None:
        wake_at = now + LOOK_AGAIN if seen.spec.source.package is not None else None
        return report(seen.version, waiting(seen.source_hold.reason, seen.source_hold.message), now, wake_at=wake_at)
    if seen.lineage is None:
        return None
    stated = converting(CONVERTING, pinned_message(seen.lineage.package))
    return remember(seen.version, stated, now, lineage=seen.lineage, conversion=Conversion(attempt=1, state="Running"))
