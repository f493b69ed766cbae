"""Begins to try a version that the fleet does not serve, once all nodes are back on the stable version."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.kinds.blockers import STORE_EVENTS, Blocker, store_wait
from bramble.kinds.plan import Plan
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.memory import step_begins
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import names, progressing, remember_rollout, report_rollout, undone, waiting

LOOK_AGAIN = timedelta(seconds=5)

MADE_LATER = frozenset({reasons.FLEET_MISSING, reasons.MODEL_VERSION_MISSING, reasons.MODEL_VERSION_NOT_READY})
"""Blockers that are no fault: objects may be made in any order."""


def begin(seen: Observed, now: datetime) -> Plan | None:
    """Start an attempt with a new seed, or report what it waits for."""
    status, wanted = seen.status, seen.wanted
    if status.candidate is not None:
        return None
    if status.undone is not None:
        wake_at = now + LOOK_AGAIN if seen.not_on_stable else None
        return report_rollout(seen, undone(seen, status.undone.message), now, wake_at=wake_at)
    if seen.blocker is not None:
        update = waiting(seen, seen.blocker.reason, seen.blocker.message, degraded=seen.blocker.reason not in MADE_LATER)
        return report_rollout(seen, update, now, wake_at=_retry_at(seen, seen.blocker, now))
    if wanted is None or (status.stable is not None and status.stable.uid == wanted.uid):
        return None
    if not seen.fleet.nodes:
        message = f"Fleet {seen.fleet.name!r} has no node yet; label nodes so that its nodeSelector and one of its boards match"
        return report_rollout(seen, waiting(seen, reasons.NO_NODES, message), now)
    if awaited := seen.awaited:
        back = "return to the stable version" if status.stable is not None else "stop serving"
        message = f"waiting for {names(awaited)} to {back} before {wanted.ref} is tried"
        return report_rollout(seen, waiting(seen, reasons.RETURNING, message), now, wake_at=now + LOOK_AGAIN)
    attempt = status.attempt + 1
    update = progressing(seen, reasons.STARTED, f"attempt {attempt}: {wanted.ref} is tried on fleet {seen.fleet.name}")
    memory = {"attempt": attempt, "candidate": wanted, "seed": f"{seen.metadata.uid}/{attempt}", "decision": None, **step_begins(seen, 0)}
    return remember_rollout(seen, update, now, analysis=None, **memory)


def _retry_at(seen: Observed, blocker: Blocker, now: datetime) -> datetime | None:
    """When to look at the store again. Other blockers are objects of the API server, whose changes wake the Rollout."""
    return now + store_wait(blocker, seen.status.conditions, now) if blocker.reason in STORE_EVENTS else None
