"""The engine's two clocks for times of day: this process's, and the cluster's, which passes are planned by. `bramble.boottime` measures how
long something takes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bramble.boottime import boottime

STEP_SECONDS, DOUBTED_SECONDS = 30.0, 600.0
"""An answer's time that differs by more than the first is believed once all answers have differed for as long as the second: until then,
the clock of an API server may be set back again, or one of several may be wrong."""


def utcnow() -> datetime:
    """This process's wall-clock time. Durations are never computed from it, because it can be set."""
    return datetime.now(UTC)


class ClusterClock:
    """The API server's time, from the `Date` of its answers (RFC 9110, section 6.6.1), carried on by a clock that nobody sets.

    Jobs, pods and nodes state by the clocks of the control plane when something happened. Compared with a wall clock that is hours ahead, a
    training would seem to have used up its deadline, and a node to be lost; compared with one behind, a wait would take hours.
    """

    def __init__(self, clock: Callable[[], float] = boottime, wall: Callable[[], datetime] = utcnow) -> None:
        self._clock, self._wall = clock, wall
        self._booted: float | None = None
        """When this machine booted, in seconds since 1970 by the API server's time; None before the first answer."""
        self._doubted_since: float | None = None

    def heard(self, date: str, seconds: float) -> None:
        """Take in the `Date` of an answer that has just arrived, to a request made so many seconds ago. One that is none is ignored."""
        try:
            stated = parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            return
        received = self._clock()
        least, most = stated - received, stated + 1 + seconds - received  # it states whole seconds
        if self._booted is None or self._is_believed(max(least - self._booted, self._booted - most), received):
            self._booted, self._doubted_since = least, None
        elif self._doubted_since is None:
            self._booted = min(max(self._booted, least), most)

    def _is_believed(self, difference: float, received: float) -> bool:
        """Whether a step by this much has lasted for long enough."""
        if difference <= STEP_SECONDS:
            self._doubted_since = None
            return False
        self._doubted_since = received if self._doubted_since is None else self._doubted_since
        return received - self._doubted_since >= DOUBTED_SECONDS

    def now(self) -> datetime:
        """The API server's time; this process's wall-clock time before the first answer."""
        return datetime.fromtimestamp(self._booted + self._clock(), UTC) if self._booted is not None else self._wall()
