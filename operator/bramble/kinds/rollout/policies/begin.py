"""Begins to try a version that the fleet does not serve, once all nodes are back on the stable version."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.api.conditions import rfc3339
from bramble.api.rollout import Release
from bramble.kinds.blockers import STORE_EVENTS, Blocker, store_wait
from bramble.kinds.plan import Plan
from bramble.kinds.rollout import memory, reasons
from bramble.kinds.rollout.arrivals import grace_is_over
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import names, noted, progressing, remember_rollout, report_rollout, still_undone, turned_bad, waiting

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
        return report_rollout(seen, turned_bad(seen) or still_undone(seen, status.undone), now, wake_at=wake_at)
    if seen.blocker is not None:
        blocked = waiting(seen, seen.blocker.reason, seen.blocker.message, degraded=seen.blocker.reason not in MADE_LATER)
        update = turned_bad(seen) or blocked  # that the fleet serves a bad version is what a person has to read
        return report_rollout(seen, update, now, wake_at=_retry_at(seen, seen.blocker, now))
    if wanted is None or (status.stable is not None and status.stable.uid == wanted.uid):
        return forget_waiting(seen, now)
    if not seen.fleet.nodes:
        message = f"Fleet {seen.fleet.name!r} has no node yet; label nodes so that its nodeSelector and one of its boards match"
        return report_rollout(seen, waiting(seen, reasons.NO_NODES, message), now)
    awaited = seen.awaited
    if awaited and not (status.waiting_since and grace_is_over(seen)):
        back = "return to the stable version" if status.stable is not None else "stop serving"
        update = waiting(seen, reasons.RETURNING, f"waiting for {names(awaited)} to {back} before {wanted.ref} is tried")
        if not status.waiting_since:
            return remember_rollout(seen, update, now, waiting_since=rfc3339(now))
        return report_rollout(seen, update, now, wake_at=now + LOOK_AGAIN)
    if len(seen.steps) == 1 and (blind := seen.blind) is not None:
        return report_rollout(seen, waiting(seen, reasons.COLLECTING_EVIDENCE, blind), now, wake_at=now + LOOK_AGAIN)
    return start(seen, wanted, awaited, now)


def start(seen: Observed, wanted: Release, without: frozenset[str], now: datetime) -> Plan:
    """Start the attempt, without the nodes that did not return in time."""
    attempt = seen.status.attempt + 1
    message = f"attempt {attempt}: {wanted.ref} is tried on fleet {seen.fleet.name}"
    if without:
        message += f", without {names(without)}: not back on the stable version in time"
    begun = {"attempt": attempt, "candidate": wanted, "seed": f"{seen.metadata.uid}/{attempt}", "decision": None}
    changes = {**begun, **memory.step_begins(seen, 0, now), **(memory.passed_over(seen, without, now) if without else {})}
    if seen.status.stable is not None and turned_bad(seen) is not None:
        changes |= memory.distrusted(seen, seen.status.stable)  # if the new version is promoted, this one is the one before
    update = progressing(seen, reasons.STARTED, message)
    return remember_rollout(seen, update, now, analysis=None, timeline=noted(seen, update, now)["timeline"][-1:], **changes)


def forget_waiting(seen: Observed, now: datetime) -> Plan | None:
    """Forget since when nodes were awaited, once the spec names the stable version again."""
    if not seen.status.waiting_since or seen.wanted is None:
        return None
    message = f"no node is awaited, since the spec names {seen.wanted.ref}, which is stable"
    return remember_rollout(seen, waiting(seen, reasons.VERIFYING, message), now, waiting_since="")


def _retry_at(seen: Observed, blocker: Blocker, now: datetime) -> datetime | None:
    """When to look at the store again. Other blockers are objects of the API server, whose changes wake the Rollout."""
    return now + store_wait(blocker, seen.status.conditions, now) if blocker.reason in STORE_EVENTS else None
