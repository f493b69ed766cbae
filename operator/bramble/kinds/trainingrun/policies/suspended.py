"""A run that somebody has suspended."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report
from bramble.kinds.trainingrun.ends import ended_attempt
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import SUSPENDED, under_way


def suspended(seen: Observed, now: datetime) -> Plan | None:
    """End the present attempt at its newest checkpoint, which costs no budget, and begin none. What is trained is still evaluated.

    An attempt that ended while the store cannot be read may have trained it all: that is known first.
    """
    unread = seen.store is not None and seen.status.current is not None
    if not seen.spec.suspend or seen.status.package is not None or unread:
        return None
    message = "suspended by spec.suspend; set it to false to go on from the newest checkpoint"
    stated = under_way(seen.status, "Suspended", SUSPENDED, message)
    if seen.status.current is not None:
        return remember(seen.run, stated, now, **ended_attempt(seen, now))
    return report(seen.run, stated, now)
