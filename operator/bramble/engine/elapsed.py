"""How long ago something happened, by a clock that nobody sets.

A time that a status names was read from the wall clock of whoever led then. That clock, or the one of the present leader, may be wrong or
be set, so their difference says nothing certain. What each leader measures while it watches is certain; the status keeps it for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bramble.boottime import boottime


class Elapsed:
    """Remembers for each object since when it knows of some events. An event is known by any text, such as its time."""

    def __init__(self, clock: Callable[[], float] = boottime) -> None:
        self._clock = clock
        self._since: dict[str, dict[str, float]] = {}

    def read(self, uid: str, measured: Mapping[str, float]) -> dict[str, float]:
        """The seconds since each event, at least. Events of the object that are not asked for any more are forgotten.

        Args:
            uid: of the object.
            measured: each event, with the seconds since then that an earlier leader measured; 0 if none did.
        """
        now, known = self._clock(), self._since.get(uid, {})
        since = {event: min(now - seconds, known.get(event, now)) for event, seconds in measured.items()}
        self._since[uid] = since
        return {event: now - began for event, began in since.items()}

    def forget(self, uid: str) -> None:
        """Drop what is kept about a deleted object."""
        self._since.pop(uid, None)
