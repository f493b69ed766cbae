"""Requests that take clearly longer than the slow requests of the stable version.

An example: with `quantile: "0.99"` and `maxRatio: "2"`, take the duration that 99 % of the stable nodes' requests keep to (their p99), and
double it. A request that takes longer is slow. The candidate fails once it is shown that more than 1 % of its requests are slow, and more
than twice as many as on stable nodes at the same time: where all nodes are slow at once, the version is not at fault. It passes once it is
shown that less than 1 % of its requests are slow, or less than twice as many as on stable nodes.

In general a request is slow above `maxRatio` times the stable nodes' `quantile`, and the share `1 - quantile` of the candidate's requests
may be slow, or the share `ceiling`, where that is larger. Which requests are slow is fixed when the attempt begins, from what the agents
have counted since they started, or as soon as the stable nodes have had `minEvents` requests. The guardrail is undecided until then. No
node counts there for more requests than the median node had, or `minEvents`, if that is more: one busy node does not decide it alone.

Durations are measured on the device, from the whole request to the answer, and fall into buckets whose bounds are 0.1 ms x 2^(k/8). The
threshold is rounded up to the next bound. The last bound is 13.1 s: where the threshold lies above it, requests above 13.1 s are slow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from statistics import median_low

from bramble.contracts.counters import DURATION_BOUNDS_MS, PREDICT, Counted, Histogram, add_histograms
from bramble.guardrails.base import CountedMetric, Rule
from bramble.guardrails.evidence import GuardEvidence

DEFAULT_QUANTILE = 0.99
"""Used for a rule without one. A spec must name it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency(CountedMetric):
    """Durations of requests, from a histogram. The threshold is rounded up to the histogram's next bound."""

    @property
    def reads(self) -> frozenset[str]:
        """The histogram of requests."""
        return frozenset({PREDICT})

    @property
    def compares_durations(self) -> bool:
        """It does."""
        return True

    def tally(self, counted: Counted, edge: int | None, label: str | None = None) -> tuple[int, int]:  # noqa: ARG002
        """Slow requests among all; none of either while nobody knows what is slow."""
        if edge is None:
            return 0, 0
        buckets = counted.histogram(PREDICT).buckets
        return sum(buckets[edge + 1 :]), sum(buckets)

    def edge(self, rule: Rule, stable: Iterable[Counted]) -> int | None:
        """The bucket of the threshold. A threshold above the last bound is the last bound, so that the last bucket is slow at least."""
        found = [histogram for counted in stable if (histogram := counted.histogram(PREDICT)).count]
        counts = [histogram.count for histogram in found]
        if sum(counts) < rule.min_events:
            return None
        most = max(rule.min_events, median_low(counts))
        quantile = add_histograms(map(_at_most, found, repeat(most))).quantile(_quantile(rule))
        return min(bisect_left(DURATION_BOUNDS_MS, rule.max_ratio * (quantile or 0.0)), len(DURATION_BOUNDS_MS) - 1)

    def allowed(self, rule: Rule) -> float | None:
        """What the quantile leaves."""
        return max(round(1 - _quantile(rule), 9), rule.ceiling or 0.0)

    def over_ms(self, edge: int | None) -> float | None:
        """The bound of the bucket."""
        return round(DURATION_BOUNDS_MS[edge], 2) if edge is not None else None

    def unknown(self, rule: Rule, evidence: GuardEvidence) -> str | None:
        """Which requests are slow is not known yet."""
        if evidence.over_ms is not None:
            return None
        return f"fewer than {rule.min_events} requests so far on stable nodes, which are needed to know what is slow"

    def bad_events(self, evidence: GuardEvidence) -> str:
        """They are slow, and what is slow."""
        return f"took longer than {evidence.over_ms:.2f} ms" if evidence.over_ms is not None else self.happened


def _at_most(histogram: Histogram, most: int) -> Histogram:
    """The histogram with about so many durations at most, in the same proportions."""
    if (count := histogram.count) <= most:
        return histogram
    return Histogram(buckets=tuple(round(bucket * most / count) for bucket in histogram.buckets))


def _quantile(rule: Rule) -> float:
    return rule.quantile if rule.quantile is not None else DEFAULT_QUANTILE


LATENCY = Latency(
    name="latency",
    description="share of requests slower than maxRatio times the stable version's quantile",
    event="requests",
    fields=frozenset({"quantile"}),
    happened="were slow",
)
