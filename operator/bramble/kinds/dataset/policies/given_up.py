"""An attempt that failed for good."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.cause import Cause
from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.status import not_snapshotted
from bramble.kinds.jobs.attempts import PLAIN, Spent
from bramble.kinds.jobs.state import COUNTS_AS
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import StatusUpdate, report

REMEDY = "Mend it, then change the spec or request a snapshot"


def is_over(cause: Cause | None, spent: Spent) -> bool:
    """Whether memory says that no attempt follows: a final cause, or a budget overdrawn."""
    if cause is None:
        return False
    return COUNTS_AS[cause.kind] == "final" or spent.failures > PLAIN.failures or spent.disruptions > PLAIN.disruptions


def failure(cause: Cause) -> StatusUpdate:
    """The first cause as conditions."""
    return not_snapshotted(cause.kind, f"{cause.message}. {REMEDY}", failed=True)


def given_up(seen: Observed, now: datetime) -> Plan | None:
    """Say why, until the spec changes or somebody asks for a snapshot."""
    status = seen.dataset.status
    if not is_over(status.first_cause, seen.spent) or status.first_cause is None:
        return None
    return report(seen.dataset, failure(status.first_cause), now)
