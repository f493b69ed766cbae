"""Somebody has suspended the run."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report
from bramble.kinds.trainingrun.budgets import close_attempt
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import SUSPENDED, under_way


def suspended(seen: Observed, now: datetime) -> Plan | None:
    """End the present attempt, which is charged to no budget, and begin none. A run that has trained is still evaluated.

    If the store cannot be read, wait: the present attempt may have left its result there. A kept output that is being packaged was trained
    as well.
    """
    unread = seen.store is not None and seen.status.current is not None
    if not seen.spec.suspend or seen.status.package is not None or seen.status.packaging is not None or unread:
        return None
    message = "suspended by spec.suspend; set it to false to go on from the newest checkpoint"
    update = under_way(seen.status, "Suspended", SUSPENDED, message)
    if seen.status.current is not None or seen.status.released is not None:  # the next attempt begins at once when the run is resumed
        return remember(seen.run, update, now, **close_attempt(seen, now))
    return report(seen.run, update, now)
