"""Decides whether this process still works: its watches, its queue and its passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bramble.boottime import boottime
from bramble.engine.queue import WorkQueue
from bramble.engine.relist import Relist, WatchProgress

STUCK_PASS_SECONDS = 300.0
"""Five times the time limit of a pass. A pass that runs longer is no longer reached by its own time limit."""

OLDEST_SECONDS = 300.0
"""A key that waits longer than this waits for workers that do not work any more."""

LISTS_BEHIND = 2
"""A watch is dead after this many consecutive lists that found it behind."""


class Liveness:
    """The answer of /healthz."""

    def __init__(self, queue: WorkQueue, relist: Relist, watches: WatchProgress, leads: Callable[[], bool], longest_silence: float) -> None:
        """`leads` says whether this replica leads; `longest_silence` is how long watches and lists may both be silent, in seconds."""
        self._queue, self._relist, self._watches, self._leads = queue, relist, watches, leads
        self._longest_silence = longest_silence

    def problems(self) -> tuple[str, ...]:
        """The reasons to restart this process; empty when there are none."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        now = boottime()
        silent, unlisted = now - self._watches.last, now - self._relist.last
        if self._relist.filled and min(silent, unlisted) > self._longest_silence:
            yield f"no watch has delivered anything for {silent:.0f} s, and no full list has been compared for {unlisted:.0f} s"
        for kind, times in self._relist.behind.items():
            if times >= LISTS_BEHIND:
                yield f"the watch of {kind} has been behind for {times} full lists"
        if self._leads() and (waited := self._queue.oldest()) > OLDEST_SECONDS:
            yield f"an object has waited {waited:.0f} s for a pass"
        if (running := self._queue.longest_pass()) > STUCK_PASS_SECONDS:
            yield f"a pass has been running for {running:.0f} s"
