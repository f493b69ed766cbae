"""The work queue: each key once, one pass an object at a time, back-off with jitter, timers."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
from collections.abc import Callable

from bramble.engine.clock import boottime
from bramble.kube.resources import Key

FIRST_DELAY = 0.5
LAST_DELAY = 60.0
"""Seconds of the back-off: doubled from the first up to the last, each drawn evenly from its upper half."""


class WorkQueue:
    """Keys to reconcile. Single-threaded: every method is called from the event loop.

    A key that is added while it is being worked on is handed out again once that pass is done; a key is never handed
    out twice at a time.
    """

    def __init__(self, clock: Callable[[], float] = boottime, draw: random.Random | None = None) -> None:
        self._clock = clock
        self._draw = draw or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._ready: dict[Key, float] = {}
        self._running: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._timers: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: Key) -> None:
        """Hand the key out as soon as a worker is free."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._ready:
            self._ready[key] = self._clock()
            self._changed.set()

    def add_at(self, key: Key, when: float) -> None:
        """Hand the key out at `when` (seconds of the queue's clock) at the latest; of two times the earlier counts."""
        if key in self._due and self._due[key] <= when:
            return
        self._due[key] = when
        heapq.heappush(self._timers, (when, key))
        self._changed.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Hand the key out after so many seconds at the latest."""
        self.add_at(key, self._clock() + max(0.0, seconds))

    def retry(self, key: Key) -> float:
        """The pass failed: hand the key out again after its back-off, which is returned in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        whole = min(LAST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 16))
        delay = self._draw.uniform(whole / 2, whole)
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: Key) -> None:
        """The pass went through: its next failure backs off from the beginning."""
        self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        """How many passes of this key have failed in a row."""
        return self._failures.get(key, 0)

    def forget(self, key: Key) -> None:
        """The object is gone: no timer or back-off of it is kept."""
        self._failures.pop(key, None)
        self._due.pop(key, None)

    async def get(self) -> Key:
        """The key that has waited longest; `done` must follow."""
        while True:
            self._release_due()
            if self._ready:
                key = next(iter(self._ready))
                del self._ready[key]
                self._running[key] = self._clock()
                return key
            self._changed.clear()
            wait = max(0.0, self._timers[0][0] - self._clock()) if self._timers else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):  # `wait_for` of Python 3.11 may take a cancellation for the event
                    await self._changed.wait()

    def done(self, key: Key) -> None:
        """The pass of this key has ended, however it did."""
        del self._running[key]
        if key in self._again:
            self._again.remove(key)
            self.add(key)

    def clear(self) -> None:
        """Drop what waits (this replica does not lead); what runs ends by itself."""
        self._ready.clear()
        self._again.clear()
        self._timers.clear()
        self._due.clear()
        self._failures.clear()

    @property
    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Whether nothing waits or runs; timers may be set."""
        self._release_due()
        return not self._ready and not self._running

    def next_due(self) -> float | None:
        """When the next timer ends, in seconds of the queue's clock; None when none is set."""
        return min(self._due.values(), default=None)

    def oldest(self) -> float:
        """Seconds that the longest waiting key has waited, 0 when none waits."""
        return self._clock() - next(iter(self._ready.values())) if self._ready else 0.0

    def longest_pass(self) -> float:
        """Seconds that the longest running pass has run, 0 when none runs."""
        return self._clock() - min(self._running.values()) if self._running else 0.0

    def _release_due(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            when, key = heapq.heappop(self._timers)
            if self._due.get(key) == when:
                del self._due[key]
                self.add(key)
