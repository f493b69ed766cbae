"""The namespace's store cannot be used."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.cause import describe_cause
from bramble.kinds.blockers import store_wait
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import report
from bramble.kinds.trainingrun.attempt import Ending
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import not_admitted, under_way


def wait_for_store(seen: Observed, now: datetime) -> Plan | None:
    """Wait until the store answers and accepts the key. Without it no attempt can begin, and an attempt that ended cannot be judged.

    If the present attempt has failed, the message already tells what its pods say about it.
    """
    if seen.store is None:
        return None
    reason, message, wake_at = seen.store.reason, seen.store.message, now + store_wait(seen.store, seen.status.conditions, now)
    if seen.status.dataset is None:
        return report(seen.run, not_admitted(seen.status, reason, message), now, wake_at=wake_at)
    if isinstance(seen.state, Ending) and seen.state.stage in ("likely", "settled"):
        message = f"{message}; attempt {seen.status.attempt} is ending, and its pods say: {describe_cause(seen.state.cause)}"
    phase = seen.status.phase if seen.status.phase not in ("", "Failed") else "Pending"  # it failed before it was tried again
    return report(seen.run, under_way(seen.status, phase, reason, message), now, wake_at=wake_at)
