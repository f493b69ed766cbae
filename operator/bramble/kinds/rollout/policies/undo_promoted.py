"""Undoes a version that turned bad after its promotion."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bramble.kinds.plan import Emit, Plan
from bramble.kinds.requests import Refused
from bramble.kinds.rollout import memory, reasons
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.reasons import EVENTS
from bramble.kinds.rollout.status import remember_rollout, undone


def undo_promoted(seen: Observed, now: datetime) -> Plan | None:
    """Go back to the last good version, on every node at once, when the version that is watched is shown to be worse than it was.

    Where that cannot be, `report_health` says why: a person has to act, and a newer version may still be tried.
    """
    judgement, stable, target = seen.watch_judgement, seen.status.stable, seen.fallback
    if judgement is None or judgement.verdict != "Fail" or stable is None or target is None or isinstance(target, Refused):
        return None
    message = f"{stable.ref} was promoted and turned bad: {judgement.messages('Fail')}; the fleet goes back to {target.ref}"
    update = replace(undone(seen, message), events={})  # Ready may be Undone already, of a version that was tried since
    event = Emit(EVENTS[reasons.UNDONE], reasons.UNDONE, message)
    changes = memory.undo_promoted(seen, stable, target, judgement, message, now)
    return remember_rollout(seen, update, now, events=(event,), **changes)
