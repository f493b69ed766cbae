"""Whether this process still does its work: its watches, its queue, its passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bramble.engine.clock import boottime
from bramble.engine.queue import WorkQueue
from bramble.engine.relist import Relist

STUCK_PASS_SECONDS = 300.0
"""Five times what a pass may take: its time limit did not end it, so the loop no longer turns for it."""

OLDEST_SECONDS = 300.0
"""A key that waits longer than this waits for workers that are gone."""

MISSED_LISTS = 3
"""So many full lists in a row found changes of a kind that its watch had not delivered: the watch is dead."""


class Liveness:
    """What /healthz answers by."""

    def __init__(
        self, queue: WorkQueue, relist: Relist, relist_seconds: float, leads: Callable[[], bool], clock: Callable[[], float] = boottime
    ) -> None:
        self._queue, self._relist, self._relist_seconds, self._leads, self._clock = queue, relist, relist_seconds, leads, clock
        self._last_event = clock()

    def heard(self) -> None:
        """A watch delivered something."""
        self._last_event = self._clock()

    def problems(self) -> tuple[str, ...]:
        """Why this process should be started anew; empty when it should not."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        longest = 2 * self._relist_seconds + 60
        silent, unlisted = self._clock() - self._last_event, self._clock() - self._relist.last
        if self._relist.filled and min(silent, unlisted) > longest:
            yield f"no watch has delivered anything for {silent:.0f} s, and no full list has been compared for {unlisted:.0f} s"
        for kind, times in self._relist.missed_in_a_row.items():
            if times >= MISSED_LISTS:
                yield f"the last {times} full lists of {kind} found changes that its watch had not delivered"
        if self._leads() and (waited := self._queue.oldest()) > OLDEST_SECONDS:
            yield f"an object has waited {waited:.0f} s for a pass"
        if (running := self._queue.longest_pass()) > STUCK_PASS_SECONDS:
            yield f"a pass has been running for {running:.0f} s"
