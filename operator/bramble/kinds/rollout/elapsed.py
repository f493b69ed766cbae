"""For how long the present step has waited or been watched, by what leaders measured: their clocks may be wrong, or be set. Pure.

An event is named by a text that is another one whenever it happens anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from bramble.api.conditions import rfc3339
from bramble.api.rollout import Status

STORED_EVERY = 60.0
"""How many more seconds must have passed before they are stored, so that a Rollout costs one write a minute at most. A new leader may count
up to so many seconds less."""


def step_began(status: Status) -> str:
    """The event since which the step is watched or, before that, waits for its nodes."""
    return status.step_started_at or status.waiting_since


def last_change(status: Status) -> str:
    """The event since which the nodes that the step waits for have had time: it began to wait, or last went on without others."""
    over = status.passed_over.values()
    return f"passed-over/{len(over)}/{max((status.waiting_since, *over))}" if over else status.waiting_since


def deletion_event(deleted: datetime) -> str:
    """The event that the Rollout was deleted."""
    return f"deleted/{rfc3339(deleted)}"


def measured(status: Status, deleted: datetime | None) -> dict[str, float]:
    """The events that something waits for, with the seconds since then that are stored."""
    events = [step_began(status), last_change(status), *([deletion_event(deleted)] if deleted is not None else [])]
    return {event: float(status.elapsed.get(event, 0)) for event in events if event}


def stored(status: Status, elapsed: Mapping[str, float]) -> dict[str, int]:
    """What the status keeps of the seconds since each event: what it has already, unless much more has passed."""
    kept = {event: int(seconds) for event, seconds in elapsed.items() if seconds >= STORED_EVERY}
    same = kept.keys() == status.elapsed.keys() and all(kept[event] - seconds < STORED_EVERY for event, seconds in status.elapsed.items())
    return status.elapsed if same else kept


def left(seconds: float, elapsed: float) -> timedelta:
    """How much of so many seconds is left."""
    return timedelta(seconds=max(0.0, seconds - elapsed))
