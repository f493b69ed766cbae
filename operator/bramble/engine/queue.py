"""The work queue: it holds each key once, runs one pass per object at a time, and has back-off with jitter and timers.

Namespaces take turns, and each has its share of the passes that run at the same time. So one with thousands of objects, or with a store
that every pass waits for, does not hold up the objects of another.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterator

from bramble.boottime import boottime
from bramble.kube.resources import Key

FIRST_DELAY = 0.5
LAST_DELAY = 60.0
"""Seconds of the back-off. The delay doubles from the first to the last; the upper half of it is drawn at random (jitter)."""

SHARE = 8
"""Passes of one namespace that run at the same time; those that wait for its store count as well."""

MOST_DOUBLINGS = 16
"""Caps the exponent: `2.0 ** failures` would overflow after a thousand failures."""


class WorkQueue:
    """Keys to reconcile. Every method is called from the event loop, so there are no locks.

    A key is never handed out while its pass runs. One that is added meanwhile is handed out again when that pass is done.

    Args:
        share: how many passes of one namespace run at the same time.
        clock: in seconds.
        draw: for the jitter.
    """

    def __init__(self, share: int = SHARE, clock: Callable[[], float] = boottime, draw: random.Random | None = None) -> None:
        self._share, self._clock = share, clock
        self._draw = draw or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._ready: dict[str, dict[Key, float]] = {}
        """By namespace, the one whose last turn is longest ago first; each with its keys and since when they wait, the oldest first."""
        self._running: dict[Key, float] = {}
        self._running_of: Counter[str] = Counter()
        self._again: set[Key] = set()
        self._timers: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: Key) -> None:
        """Queue the key; a free worker takes it at once."""
        if key in self._running:
            self._again.add(key)
        elif key not in (keys := self._ready.setdefault(key.namespace, {})):
            keys[key] = self._clock()
            self._changed.set()

    def add_at(self, key: Key, when: float) -> None:
        """Queue the key at `when`, in seconds of the queue's clock. If a time is already set, the earlier one counts."""
        if key in self._due and self._due[key] <= when:
            return
        self._due[key] = when
        heapq.heappush(self._timers, (when, key))
        self._changed.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Queue the key after this many seconds, or earlier if a time is already set."""
        self.add_at(key, self._clock() + max(0.0, seconds))

    def retry(self, key: Key) -> float:
        """Queue the key again after a failed pass; returns the back-off in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        whole = min(LAST_DELAY, FIRST_DELAY * 2.0 ** min(failures, MOST_DOUBLINGS))
        delay = self._draw.uniform(whole / 2, whole)
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: Key) -> None:
        """Record that a pass succeeded: the back-off of the next failure begins anew."""
        self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        """The number of passes of this key that have failed in a row."""
        return self._failures.get(key, 0)

    def forget(self, key: Key) -> None:
        """Drop the timer and the back-off of a deleted object."""
        self._failures.pop(key, None)
        self._due.pop(key, None)

    async def get(self) -> Key:
        """Wait for a key and take it: of the namespace whose last turn is longest ago, the one that has waited longest.

        The caller must call `done` after its pass.
        """
        while True:
            self._release_due()
            if (namespace := next(self._below_share(), None)) is not None:
                keys = self._ready.pop(namespace)
                key = next(iter(keys))
                del keys[key]
                if keys:
                    self._ready[namespace] = keys  # behind all others
                self._running[key] = self._clock()
                self._running_of[namespace] += 1
                return key
            self._changed.clear()
            wait = max(0.0, self._timers[0][0] - self._clock()) if self._timers else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):  # not `wait_for`: in Python 3.11 it may swallow a cancellation
                    await self._changed.wait()

    def done(self, key: Key) -> None:
        """Record that the pass of this key has ended, successfully or not."""
        del self._running[key]
        self._running_of[key.namespace] -= 1
        if not self._running_of[key.namespace]:
            del self._running_of[key.namespace]
        self._changed.set()
        if key in self._again:
            self._again.remove(key)
            self.add(key)

    def clear(self) -> None:
        """Drop everything that waits, because this replica does not lead. Running passes end by themselves."""
        self._ready.clear()
        self._again.clear()
        self._timers.clear()
        self._due.clear()
        self._failures.clear()

    @property
    def depth(self) -> int:
        """The number of keys that wait for their pass."""
        return sum(map(len, self._ready.values()))

    @property
    def idle(self) -> bool:
        """True if no key waits and no pass runs. Timers may still be set."""
        self._release_due()
        return not self._ready and not self._running

    def next_due(self) -> float | None:
        """The time of the next timer, in seconds of the queue's clock; None when none is set."""
        return min(self._due.values(), default=None)

    def oldest(self) -> float:
        """How long a key has waited that waits for nothing but its pass, in seconds; 0 when there is none.

        Where the passes of a namespace use up its share, as with a store that hangs, its other keys wait for those.
        """
        since = min((next(iter(self._ready[namespace].values())) for namespace in self._below_share()), default=self._clock())
        return self._clock() - since

    def longest_pass(self) -> float:
        """How long the longest running pass has run, in seconds; 0 when none runs."""
        return self._clock() - min(self._running.values()) if self._running else 0.0

    def _below_share(self) -> Iterator[str]:
        """The namespaces of which a key may be handed out."""
        return (namespace for namespace in self._ready if self._running_of[namespace] < self._share)

    def _release_due(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            when, key = heapq.heappop(self._timers)
            if self._due.get(key) == when:
                del self._due[key]
                self.add(key)
