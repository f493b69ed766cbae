"""What a device counts: requests, errors, right and wrong answers and a latency histogram, by package and cohort.

Cumulative since the process began, except crashes, which stand on the disk. Touched by the event loop's thread only.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from bramble.contracts.counters import LATENCY_BOUNDS_MS, Cohort, Counters, Latency

MAX_KEYS = 12
"""Of one model: a device remembers the versions of its last few attempts, not all it ever served."""


class Key(NamedTuple):
    """What a count is of."""

    namespace: str
    model: str
    rollout_uid: str
    package: str
    cohort: Cohort
    attempt: int


class Tally:
    """The counts of one key."""

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.right = 0
        self.wrong = 0
        self.crashes = 0
        self.buckets = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        self.sum_ms = 0.0

    def answered(self, milliseconds: float) -> None:
        """A request was answered after this time."""
        self.requests += 1
        self.buckets[bisect_left(LATENCY_BOUNDS_MS, milliseconds)] += 1
        self.sum_ms += milliseconds

    def failed(self) -> None:
        """A request was not answered, through no fault of its own."""
        self.requests += 1
        self.errors += 1

    def judged(self, *, right: bool) -> None:
        """Feedback said what the answer should have been."""
        if right:
            self.right += 1
        else:
            self.wrong += 1


class Book:
    """All tallies of the node."""

    def __init__(self) -> None:
        self._tallies: dict[Key, Tally] = {}

    def of(self, key: Key) -> Tally:
        """The tally of a key; the oldest of the same model goes where there are too many."""
        tally = self._tallies.get(key)
        if tally is None:
            same = [each for each in self._tallies if (each.namespace, each.model) == (key.namespace, key.model)]
            for old in same[: max(0, len(same) - MAX_KEYS + 1)]:
                del self._tallies[old]
            tally = self._tallies[key] = Tally()
        return tally

    def forget(self, namespace: str, model: str, *, all_but: str | None = None) -> None:
        """Drop a model's tallies; those of one Rollout may stay."""
        for key in [each for each in self._tallies if (each.namespace, each.model) == (namespace, model)]:
            if key.rollout_uid != all_but:
                del self._tallies[key]

    def items(self) -> list[tuple[Key, Tally]]:
        """Every key with its tally, oldest first."""
        return list(self._tallies.items())

    def report(self) -> tuple[Counters, ...]:
        """As it goes to the gateway."""
        return tuple(
            Counters(
                namespace=key.namespace,
                model=key.model,
                package=key.package,
                cohort=key.cohort,
                attempt=key.attempt,
                requests=tally.requests,
                errors=tally.errors,
                right=tally.right,
                wrong=tally.wrong,
                crashes=tally.crashes,
                latency=Latency(buckets=tuple(tally.buckets), sum_ms=tally.sum_ms),
            )
            for key, tally in self._tallies.items()
        )
