"""What a device counts for each package that it serves: cumulative numbers that add up over nodes (package contract, §2)."""

from __future__ import annotations

from bisect import bisect_left
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.bounds import Finite, Name, Whole

LATENCY_BOUNDS_MS: tuple[float, ...] = tuple(0.1 * 2 ** (k / 8) for k in range(137))
"""Upper bounds in milliseconds; one bucket more, the last, counts what is slower than all. The same on every node, so
that histograms add up."""

Cohort = Literal["stable", "candidate"]

MOST_COUNTED = 2**38 - 1
"""Events that one process counts at most, eight years of 1,000 a second: the sums over 32,768 devices are still `Whole`."""

Count = Annotated[int, Field(ge=0, le=MOST_COUNTED)]

BUCKETS = len(LATENCY_BOUNDS_MS) + 1


class Latency(ExtensibleDocument):
    """A histogram of request durations: one count a bound of `LATENCY_BOUNDS_MS`, and the overflow."""

    buckets: Annotated[tuple[Whole, ...], Field(min_length=BUCKETS, max_length=BUCKETS)] = (0,) * BUCKETS
    sum_ms: Annotated[Finite, Field(ge=0)] = 0.0

    @property
    def count(self) -> int:
        return sum(self.buckets)

    def slower_than(self, milliseconds: float) -> int:
        """Requests slower than a threshold, which rounds up to the next bound."""
        return sum(self.buckets[bisect_left(LATENCY_BOUNDS_MS, milliseconds) + 1 :])

    def quantile(self, q: float) -> float | None:
        """The bound in milliseconds below which at least the share `q` of requests lies; None without requests."""
        rank, seen = q * self.count, 0
        for bound, count in zip((*LATENCY_BOUNDS_MS, float("inf")), self.buckets, strict=True):
            seen += count
            if count and seen >= rank:
                return bound
        return None

    def __add__(self, other: Latency) -> Latency:
        return Latency(buckets=tuple(a + b for a, b in zip(self.buckets, other.buckets, strict=True)), sum_ms=self.sum_ms + other.sum_ms)

    def __sub__(self, earlier: Latency) -> Latency:
        return Latency(
            buckets=tuple(max(0, a - b) for a, b in zip(self.buckets, earlier.buckets, strict=True)),
            sum_ms=max(0.0, self.sum_ms - earlier.sum_ms),
        )


def _counted(latency: Latency) -> Latency:
    if latency.count > MOST_COUNTED or latency.sum_ms >= 2**53:
        raise ValueError(f"counts {latency.count} requests in {latency.sum_ms:g} ms, more than one process can have answered")
    return latency


class Counters(ExtensibleDocument):
    """Cumulative since the agent's process began, for one package in one cohort of one attempt."""

    namespace: Name
    model: Name
    package: Digest
    cohort: Cohort
    attempt: Whole
    requests: Count = 0
    errors: Count = 0
    right: Count = 0
    wrong: Count = 0
    crashes: Count = 0
    """Deaths of the agent while it served this package, counted on disk and so not reset by a restart."""
    latency: Annotated[Latency, AfterValidator(_counted)] = Latency()
