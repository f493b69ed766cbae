"""What a device counts for each package and cohort: events by name, and a histogram of how long requests took.

A new guardrail needs one line here or where the event happens: `tally.add("its_name")`. Counts are cumulative since the process
started; only crashes are kept on the disk. Only the event loop's thread counts, so no lock is needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import NamedTuple

from bramble.contracts.counters import BUCKETS, DURATION_BOUNDS_MS, PREDICT, Cohort, Counters, Histogram

MAX_KEYS = 12
"""How many tallies of one model are kept: a device remembers the versions of its last few attempts, not all it ever served."""


class Key(NamedTuple):
    """Whom a tally belongs to: one version in one cohort of one attempt."""

    namespace: str
    model: str
    rollout_uid: str
    package: str
    cohort: Cohort
    attempt: int


class Tally:
    """The counts of one key.

    Attributes:
        counts: event name to how many happened.
        buckets: requests by how long they took, one count for each bound of `DURATION_BOUNDS_MS` and one for what is slower.
        sum_ms: how long all answered requests took together, in milliseconds.
    """

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.buckets = [0] * BUCKETS
        self.sum_ms = 0.0

    def add(self, name: str) -> None:
        """Count one event."""
        self.counts[name] += 1

    def answered(self, milliseconds: float) -> None:
        """Count a request that was answered after this time."""
        self.add("requests")
        self.buckets[bisect_left(DURATION_BOUNDS_MS, milliseconds)] += 1
        self.sum_ms += milliseconds

    def failed(self) -> None:
        """Count a request that got no answer through no fault of its own."""
        self.add("requests")
        self.add("errors")

    def judged(self, *, right: bool) -> None:
        """Count an answer for which somebody sent the true label."""
        self.add("right" if right else "wrong")

    def crashed(self, times: int) -> None:
        """Take over how often the agent died while it served this, as its disk has it."""
        self.counts["crashes"] = times


class Book:
    """All tallies of the node, by key."""

    def __init__(self) -> None:
        self._tallies: dict[Key, Tally] = {}

    def of(self, key: Key) -> Tally:
        """The tally of a key. A new one replaces the oldest of the same model where there are `MAX_KEYS` already."""
        tally = self._tallies.get(key)
        if tally is None:
            same = [each for each in self._tallies if (each.namespace, each.model) == (key.namespace, key.model)]
            for old in same[: max(0, len(same) - MAX_KEYS + 1)]:
                del self._tallies[old]
            tally = self._tallies[key] = Tally()
        return tally

    def forget(self, namespace: str, model: str, *, all_but: str | None = None) -> None:
        """Drop a model's tallies, except those of the Rollout with uid `all_but`."""
        for key in [each for each in self._tallies if (each.namespace, each.model) == (namespace, model)]:
            if key.rollout_uid != all_but:
                del self._tallies[key]

    def items(self) -> list[tuple[Key, Tally]]:
        """Every key with its tally, oldest first."""
        return list(self._tallies.items())

    def report(self) -> tuple[Counters, ...]:
        """Every tally, as a report to the gateway carries it."""
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
            for key, tally in self._tallies.items()
        )
