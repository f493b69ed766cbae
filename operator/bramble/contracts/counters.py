"""What a device counts for each package that it serves. All numbers are cumulative and add up over nodes (package contract, §2).

Counts and histograms are maps by name, so that a new guardrail needs no new field here: the device counts under a name, and the metric
in `bramble.guardrails` reads that name. The device of today counts `requests`, `errors`, `rejected`, `overloaded`, `confident`, `right`,
`wrong`, `volunteered_right`, `volunteered_wrong` and `crashes`, and the durations of requests under `predict`. Labelled answers are also
counted by true and answered class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.bounds import Finite, FirstFaults, Name, Several, Whole
from bramble.contracts.confusion import Confusion

DURATION_BOUNDS_MS: tuple[float, ...] = tuple(0.1 * 2 ** (k / 8) for k in range(137))
"""Upper bounds of a histogram's buckets in milliseconds: 0.1 ms x 2^(k/8). One more bucket, the last, counts what is slower than all of
them. They are the same on every node and in every version, so that histograms add up."""

BUCKETS = len(DURATION_BOUNDS_MS) + 1

Cohort = Literal["stable", "candidate"]

MAX_COUNT = 2**38 - 1
"""The most events that one process may report, eight years of 1,000 a second. The sum over 32,768 devices is still a `Whole`."""

MAX_COUNTS = 32
MAX_HISTOGRAMS = 4

Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]

CountName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""Lower-case letters, digits and underscores, so that it is also a part of a Prometheus metric's name."""

PREDICT = "predict"
"""The histogram of how long requests took, from the whole body to the answer."""

PREDICT_LONG = "predict_long"
"""The histogram of the requests in the last bucket of `predict`, with durations divided by `LONG_FACTOR`. A reader of an earlier release
passes it over."""

LONG_FACTOR = 2**17
"""The bounds of `predict_long`, multiplied by it, go on where those of `predict` end: from 13.1 s to 20 days."""

ALL_BOUNDS_MS: tuple[float, ...] = (*DURATION_BOUNDS_MS, *(LONG_FACTOR * bound for bound in DURATION_BOUNDS_MS[1:]))
"""Upper bounds of the buckets of both histograms together, in milliseconds."""

_FORMER_COUNTS = ("requests", "errors", "right", "wrong", "crashes")
_FORMER_HISTOGRAM = "latency"


class Histogram(ExtensibleDocument):
    """How many durations fell into each bucket of `DURATION_BOUNDS_MS`, and their sum in milliseconds."""

    buckets: Annotated[Several[Whole], Field(min_length=BUCKETS, max_length=BUCKETS)] = (0,) * BUCKETS
    sum_ms: Annotated[Finite, Field(ge=0)] = 0.0

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.buckets)


def add_histograms(histograms: Iterable[Histogram]) -> Histogram:
    """The histogram of all durations together."""
    found = tuple(histograms)
    buckets = tuple(map(sum, zip(*(each.buckets for each in found), strict=True)))
    return Histogram(buckets=buckets, sum_ms=sum(each.sum_ms for each in found)) if found else Histogram()


def _within_bounds(histogram: Histogram) -> Histogram:
    if histogram.count > MAX_COUNT or histogram.sum_ms >= 2**53:
        raise ValueError(f"has {histogram.count} requests in {histogram.sum_ms:g} ms, more than one process can have answered")
    return histogram


def _possible(confusion: Confusion) -> Confusion:
    if confusion.total > MAX_COUNT:
        raise ValueError(f"has {confusion.total} answers, more than one process can have given")
    return confusion


class Counted(ExtensibleDocument):
    """Counts and histograms by name, and labelled answers by class. A name that is missing stands for nothing counted.

    Attributes:
        confusion: the answers for which labelling brought the true class. None where the device does not say: an older agent, nothing
            labelled yet, or no room in the report. It is no proof that there was none.
    """

    counts: Annotated[dict[CountName, Whole], Field(max_length=MAX_COUNTS), FirstFaults()] = Field(default_factory=dict)
    histograms: Annotated[dict[CountName, Histogram], Field(max_length=MAX_HISTOGRAMS), FirstFaults()] = Field(default_factory=dict)
    confusion: Confusion | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_fields(cls, document: Any) -> Any:
        """Read the form of earlier versions, in which each count and the one histogram were fields.

        Agents are upgraded after the operator, and a Rollout that is under way keeps such documents in its status.
        """
        if not isinstance(document, Mapping) or "counts" in document or "histograms" in document:
            return document
        rest = dict(document)
        counts = {name: rest.pop(name) for name in _FORMER_COUNTS if name in rest}
        histograms = {PREDICT: rest.pop(_FORMER_HISTOGRAM)} if _FORMER_HISTOGRAM in rest else {}
        return {**rest, "counts": counts, "histograms": histograms} if counts or histograms else document

    def count(self, *names: str) -> int:
        """The sum of the counts of these names."""
        return sum(self.counts.get(name, 0) for name in names)

    def histogram(self, name: str) -> Histogram:
        """The histogram of this name."""
        return self.histograms.get(name, _EMPTY)

    @property
    def durations(self) -> tuple[int, ...]:
        """How many requests fell into each bucket of `ALL_BOUNDS_MS`. One more, the last, has those of which an earlier agent only says
        that they took longer than 13.1 s.
        """
        *short, over = self.histogram(PREDICT).buckets
        long = self.histogram(PREDICT_LONG).buckets[1:-1]
        return *short, *long, max(0, over - sum(long))

    @property
    def most_events(self) -> int:
        """The largest count, and the count of the largest histogram and of the confusion."""
        labelled = self.confusion.total if self.confusion is not None else 0
        return max((*self.counts.values(), *(each.count for each in self.histograms.values()), labelled))


_EMPTY = Histogram()


class Counters(Counted):
    """What one process of an agent counted for one package, in one cohort of one attempt.

    Counters begin at zero when the process starts. Only `crashes`, the deaths of the agent while it served the package, is kept on the
    disk, so that a restart does not reset it.
    """

    namespace: Name
    model: Name
    package: Digest
    cohort: Cohort
    attempt: Whole
    counts: Annotated[dict[CountName, Count], Field(max_length=MAX_COUNTS), FirstFaults()] = Field(default_factory=dict)
    histograms: Annotated[
        dict[CountName, Annotated[Histogram, AfterValidator(_within_bounds)]], Field(max_length=MAX_HISTOGRAMS), FirstFaults()
    ] = Field(default_factory=dict)
    confusion: Annotated[Confusion, AfterValidator(_possible)] | None = None
