"""Counts events for each package and cohort by name, and the durations of requests in a histogram.

To count events for a new guardrail, call `tally.add("its_name")` where the event happens. Counts start at zero with the process; only
crashes are kept on the disk. There is no lock, because only the thread of the event loop counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from bramble.contracts.counters import BUCKETS, DURATION_BOUNDS_MS, PREDICT, Cohort, Counters, Histogram

REJECTED = "rejected"
"""Counts requests that the model does not take (400, 413, 415). A candidate that rejects more of them than stable turns clients away."""
OVERLOADED = "overloaded"
"""Counts requests that found the queue of the model full (429)."""

MAX_KEYS = 12
"""How many tallies of one model are kept, so that memory and reports stay small. The oldest is dropped first."""


class Key(NamedTuple):
    """What a tally counts: one package in one cohort of one attempt of a Rollout."""

    namespace: str
    model: str
    rollout_uid: str
    package: str
    cohort: Cohort
    attempt: int


class Tally:
    """The counts of one key.

    Attributes:
        counts: how many events happened, by name.
        buckets: how many requests fell into each bucket of `DURATION_BOUNDS_MS`; the last bucket counts the slower ones.
        sum_ms: the sum of the durations of all answered requests, in milliseconds.
    """

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.buckets = [0] * BUCKETS
        self.sum_ms = 0.0

    def __add__(self, other: Tally) -> Tally:
        """The counts of both."""
        both = Tally()
        both.counts = self.counts + other.counts
        both.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        both.sum_ms = self.sum_ms + other.sum_ms
        return both

    def add(self, name: str) -> None:
        """Count one event."""
        self.counts[name] += 1

    def answered(self, milliseconds: float) -> None:
        """Count a request that was answered, with its duration."""
        self.add("requests")
        self.buckets[bisect_left(DURATION_BOUNDS_MS, milliseconds)] += 1
        self.sum_ms += milliseconds

    def failed(self) -> None:
        """Count a request that got no answer although the request was valid."""
        self.add("requests")
        self.add("errors")

    def judged(self, *, right: bool) -> None:
        """Count an answer for which feedback arrived."""
        self.add("right" if right else "wrong")

    def crashed(self, times: int) -> None:
        """Set how often the agent crashed while it served this package, as recorded on the disk."""
        self.counts["crashes"] = times


class Book:
    """All tallies of a node."""

    def __init__(self) -> None:
        self._tallies: dict[Key, Tally] = {}

    def of(self, key: Key) -> Tally:
        """Return the tally of a key, and create it if needed. It replaces the model's oldest tally if there are `MAX_KEYS` of them."""
        tally = self._tallies.get(key)
        if tally is None:
            same = [each for each in self._tallies if (each.namespace, each.model) == (key.namespace, key.model)]
            for old in same[: max(0, len(same) - MAX_KEYS + 1)]:
                del self._tallies[old]
            tally = self._tallies[key] = Tally()
        return tally

    def forget(self, namespace: str, model: str, *, all_but: str | None = None) -> None:
        """Delete a model's tallies, except those of the Rollout with the uid `all_but`."""
        for key in [each for each in self._tallies if (each.namespace, each.model) == (namespace, model)]:
            if key.rollout_uid != all_but:
                del self._tallies[key]

    def items(self) -> list[tuple[Key, Tally]]:
        """All keys with their tallies, oldest first."""
        return list(self._tallies.items())

    def report(self, serving: Iterable[Key] = ()) -> tuple[Counters, ...]:
        """All tallies in the form of the report to the gateway: those that are `serving`, then the newest of each model, and so on."""
        first, newer, rank = set(serving), Counter[tuple[str, str]](), dict[Key, int]()
        for key in reversed(self._tallies):
            rank[key] = newer[key.namespace, key.model]
            newer[key.namespace, key.model] += 1
        order = sorted(self._tallies, key=lambda key: (key not in first, rank[key]))
        return tuple(
            Counters(
                namespace=key.namespace,
                model=key.model,
                package=key.package,
                cohort=key.cohort,
                attempt=key.attempt,
                counts=dict(tally.counts),
                histograms={PREDICT: Histogram(buckets=tuple(tally.buckets), sum_ms=tally.sum_ms)},
            )
            for key, tally in ((key, self._tallies[key]) for key in order)
        )
