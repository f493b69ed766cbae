"""What keeps an object's work from going on for now, such as a store that cannot be used or an object that is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bramble.api.conditions import find
from bramble.api.objects import moment
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kinds.plan import EventType

STORE_MISSING = "StoreMissing"
STORE_INVALID = "StoreInvalid"
STORE_REFUSED = StoreRefused.__name__
STORE_UNAVAILABLE = StoreUnavailable.__name__

STORE_EVENTS: Mapping[str, EventType] = {
    STORE_MISSING: "Warning",
    STORE_INVALID: "Warning",
    STORE_REFUSED: "Warning",
    STORE_UNAVAILABLE: "Warning",
}
"""Events of every kind that reads the namespace's store (`StatusUpdate.events`)."""

STORE_ERRORS = (StoreRefused, StoreUnavailable)
"""What reading the store may raise. `gather` catches them, so that a condition names the problem beside whatever else is known."""

UNAVAILABLE_WAIT = timedelta(seconds=5)
"""A store that did not answer may answer again at any time, and the object's results lie in it."""

SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(seconds=60)
WAIT_SHARE = 5
"""The other problems need a person to change the Secret, which is not watched: the operator may only read a Secret by its name. It looks
again after a fifth of the time that the object has not been Ready, so soon at first, and seldom where nobody corrects it."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why an object's work cannot go on now.

    Attributes:
        reason: the condition's reason.
        message: what is wrong and what to do, for the condition.
    """

    reason: str
    message: str


def store_blocker(error: StoreRefused | StoreUnavailable) -> Blocker:
    """The blocker for an error of the store."""
    return Blocker(type(error).__name__, str(error))


def store_wait(blocker: Blocker, conditions: Iterable[dict[str, Any]], now: datetime) -> timedelta:
    """How long to wait before the store is tried again.

    Args:
        blocker: what is wrong with the store.
        conditions: the object's stored conditions.
    """
    if blocker.reason == STORE_UNAVAILABLE:
        return UNAVAILABLE_WAIT
    ready = find(conditions, "Ready")
    not_ready_for = now - moment(ready["lastTransitionTime"]) if ready is not None and ready["status"] != "True" else timedelta()
    return min(max(not_ready_for / WAIT_SHARE, SHORTEST_WAIT), LONGEST_WAIT)
