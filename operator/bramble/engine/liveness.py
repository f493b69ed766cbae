"""Whether this process still does its work: its watches, its queue, its passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bramble.engine.clock import boottime
from bramble.engine.queue import WorkQueue
from bramble.engine.relist import Deliveries, Relist

STUCK_PASS_SECONDS = 300.0
"""Five times what a pass may take: its time limit did not end it, so the loop no longer turns for it."""

OLDEST_SECONDS = 300.0
"""A key that waits longer than this waits for workers that are gone."""

LISTS_BEHIND = 2
"""So many full lists in a row found a watch behind what the list before had found: it is dead."""


class Liveness:
    """What /healthz answers by."""

    def __init__(self, queue: WorkQueue, relist: Relist, deliveries: Deliveries, leads: Callable[[], bool], longest_silence: float) -> None:
        self._queue, self._relist, self._deliveries, self._leads = queue, relist, deliveries, leads
        self._longest_silence = longest_silence

    def problems(self) -> tuple[str, ...]:
        """Why this process should be started anew; empty when it should not."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        now = boottime()
        silent, unlisted = now - self._deliveries.last, now - self._relist.last
        if self._relist.filled and min(silent, unlisted) > self._longest_silence:
            yield f"no watch has delivered anything for {silent:.0f} s, and no full list has been compared for {unlisted:.0f} s"
        for kind, times in self._relist.behind.items():
            if times >= LISTS_BEHIND:
                yield f"the watch of {kind} has been behind for {times} full lists"
        if self._leads() and (waited := self._queue.oldest()) > OLDEST_SECONDS:
            yield f"an object has waited {waited:.0f} s for a pass"
        if (running := self._queue.longest_pass()) > STUCK_PASS_SECONDS:
            yield f"a pass has been running for {running:.0f} s"
