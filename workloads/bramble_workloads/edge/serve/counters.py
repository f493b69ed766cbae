"""Counts events for each package and cohort by name, and the durations of requests in a histogram.

To count events for a new guardrail, call `tally.add("its_name")` where the event happens. Counts start at zero with the process; only
crashes are kept on the disk. There is no lock, because only the thread of the event loop counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from bramble.contracts.confusion import Confusion, confusion_of, counted_classes
from bramble.contracts.counters import (
    BUCKETS,
    DURATION_BOUNDS_MS,
    LONG_FACTOR,
    PREDICT,
    PREDICT_LONG,
    Cohort,
    Counters,
    Histogram,
)

REJECTED = "rejected"
"""Counts requests that the model does not take (400, 413, 415). A candidate that rejects more of them than stable turns clients away."""
OVERLOADED = "overloaded"
"""Counts requests that found the queue of the model full (429)."""

Origin = Literal["labelled", "volunteered"]
"""How the true label in feedback came about.

`labelled`: whether an answer is labelled, and with what, does not depend on the answer. `volunteered`: a person who saw the answer says
what is true. People speak up about wrong answers more often than about right ones, so such feedback measures no accuracy.
"""

JUDGED: Mapping[Origin, Mapping[bool, str]] = {
    "labelled": {True: "right", False: "wrong"},
    "volunteered": {True: "volunteered_right", False: "volunteered_wrong"},
}
"""The counts of right and of wrong answers, by the origin of the feedback."""

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
        long: those of the last bucket by the bounds of `PREDICT_LONG`.
        sum_ms: the sum of the durations of all answered requests, in milliseconds.
        classes: the classes of the package that are counted by themselves; empty before the first labelled answer.
        cells: how many labelled answers have each pair of true and answered class, by their positions in `classes`. The position after
            the last one stands for all other classes.
    """

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.buckets = [0] * BUCKETS
        self.long = [0] * BUCKETS
        self.sum_ms = 0.0
        self.classes: tuple[str, ...] = ()
        self.cells = Counter[tuple[int, int]]()

    def __add__(self, other: Tally) -> Tally:
        """The counts of both, which are of one package."""
        both = Tally()
        both.counts = self.counts + other.counts
        both.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        both.long = [mine + theirs for mine, theirs in zip(self.long, other.long, strict=True)]
        both.sum_ms = self.sum_ms + other.sum_ms
        both.classes = self.classes or other.classes
        both.cells = self.cells + other.cells
        return both

    def add(self, name: str) -> None:
        """Count one event."""
        self.counts[name] += 1

    @property
    def histograms(self) -> dict[str, Histogram]:
        """The durations of requests; those above the last bound once there are any."""
        found = {PREDICT: Histogram(buckets=tuple(self.buckets), sum_ms=self.sum_ms)}
        return found | {PREDICT_LONG: Histogram(buckets=tuple(self.long))} if any(self.long) else found

    @property
    def confusion(self) -> Confusion | None:
        """The labelled answers by class; None without any."""
        return confusion_of(self.classes, self.cells.items()) if self.cells else None

    def answered(self, milliseconds: float, *, confident: bool = False) -> None:
        """Count a request that was answered, with its duration, and whether the model was sure of its answer."""
        self.add("requests")
        if confident:
            self.add("confident")
        self.buckets[bisect_left(DURATION_BOUNDS_MS, milliseconds)] += 1
        if milliseconds > DURATION_BOUNDS_MS[-1]:
            self.long[bisect_left(DURATION_BOUNDS_MS, milliseconds / LONG_FACTOR)] += 1
        self.sum_ms += milliseconds

    def failed(self) -> None:
        """Count a request that got no answer although the request was valid."""
        self.add("requests")
        self.add("errors")

    def judged(self, origin: Origin, *, right: bool) -> None:
        """Count an answer for which feedback arrived."""
        self.add(JUDGED[origin][right])

    def classified(self, classes: Sequence[str], true: str, answered: str) -> None:
        """Count a labelled answer by class.

        Args:
            classes: all classes of the package, in its order.
            true, answered: the class that is true, and the one that was answered.
        """
        self.classes = self.classes or counted_classes(classes)
        self.cells[self._place(true), self._place(answered)] += 1

    def _place(self, name: str) -> int:
        return self.classes.index(name) if name in self.classes else len(self.classes)

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
                histograms=tally.histograms,
                confusion=tally.confusion,
            )
            for key, tally in ((key, self._tallies[key]) for key in order)
        )
