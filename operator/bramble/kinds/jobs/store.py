"""A namespace's store that cannot be used in the middle of the work: how it is told, and when to look again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kinds.plan import EventType
from bramble.kinds.sources import StoreProblem

STORE_EVENTS: Mapping[str, EventType] = {
    "StoreMissing": "Warning",
    "StoreInvalid": "Warning",
    "StoreRefused": "Warning",
    "StoreUnavailable": "Warning",
}
"""Events of every kind whose work needs the store (`StatusUpdate.events`)."""

UNUSABLE = (StoreRefused, StoreUnavailable)
"""What a read of the store may raise. Caught by `gather`, so that a condition says it beside what else is known."""

SECRET_LOOK = timedelta(seconds=15)
"""Secrets are not watched."""

ANSWER_LOOK = timedelta(seconds=5)
"""A store that did not answer may do so again by itself, and results wait in it."""


def problem_of(error: StoreRefused | StoreUnavailable) -> StoreProblem:
    """The error as a condition tells it."""
    return StoreProblem(type(error).__name__, str(error))


def look_again(problem: StoreProblem) -> timedelta:
    """How long to wait before the store is tried again."""
    return ANSWER_LOOK if problem.reason == StoreUnavailable.__name__ else SECRET_LOOK
