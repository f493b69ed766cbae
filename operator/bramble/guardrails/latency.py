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
threshold is rounded up to the next bound. Agents of earlier releases tell no durations above 13.1 s apart: such requests of theirs are slow
whatever the threshold is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from statistics import median_low

from bramble.contracts.counters import ALL_BOUNDS_MS, DURATION_BOUNDS_MS, PREDICT, PREDICT_LONG, Counted
from bramble.guardrails.base import CountedMetric, Rule
from bramble.guardrails.evidence import GuardEvidence

DEFAULT_QUANTILE = 0.99
"""Used for a rule without one. A spec must name it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency(CountedMetric):
    """Durations of requests, from histograms. The threshold is rounded up to their next bound."""

    @property
    def reads(self) -> frozenset[str]:
        """The histograms of requests."""
        return frozenset({PREDICT, PREDICT_LONG})

    @property
    def compares_durations(self) -> bool:
        """It does."""
        return True

    def tally(self, counted: Counted, edge: int | None, label: str | None = None) -> tuple[int, int]:  # noqa: ARG002
        """Slow requests among all; none of either while nobody knows what is slow."""
        if edge is None:
            return 0, 0
        buckets = counted.histogram(PREDICT).buckets
        slow = buckets if edge < len(DURATION_BOUNDS_MS) else counted.durations
        return sum(slow[edge + 1 :]), sum(buckets)

    def edge(self, rule: Rule, stable: Iterable[Counted]) -> int | None:
        """The bucket of the threshold. The last bucket of all is slow in any case."""
        found = [durations for counted in stable if sum(durations := counted.durations)]
        counts = [sum(durations) for durations in found]
        if sum(counts) < rule.min_events:
            return None
        most = max(rule.min_events, median_low(counts))
        taken = [_at_most(durations, most) for durations in found]
        threshold = rule.max_ratio * quantile(_quantile(rule), [sum(bucket) for bucket in zip(*taken, strict=True)])
        return min(bisect_left(ALL_BOUNDS_MS, threshold), len(ALL_BOUNDS_MS) - 1)

    def allowed(self, rule: Rule) -> float | None:
        """What the quantile leaves."""
        return max(round(1 - _quantile(rule), 9), rule.ceiling or 0.0)

    def over_ms(self, edge: int | None) -> float | None:
        """The bound of the bucket."""
        return round(ALL_BOUNDS_MS[edge], 2) if edge is not None else None

    def unknown(self, rule: Rule, evidence: GuardEvidence) -> str | None:
        """Which requests are slow is not known yet."""
        if evidence.over_ms is not None:
            return None
        return f"fewer than {rule.min_events} requests so far on stable nodes, which are needed to know what is slow"

    def bad_events(self, evidence: GuardEvidence) -> str:
        """They are slow, and what is slow."""
        return f"took longer than {evidence.over_ms:.2f} ms" if evidence.over_ms is not None else self.happened


def quantile(q: float, durations: Sequence[int]) -> float:
    """The smallest bound in milliseconds at or below which at least the share `q` of the durations lies; 0 without any."""
    rank = q * sum(durations)
    bounds = zip((*ALL_BOUNDS_MS, inf), durations, accumulate(durations), strict=True)
    return next((bound for bound, count, seen in bounds if count and seen >= rank), 0.0)


def _at_most(durations: Sequence[int], most: int) -> Sequence[int]:
    """About so many durations at most, in the same proportions."""
    if (count := sum(durations)) <= most:
        return durations
    return [round(bucket * most / count) for bucket in durations]


def _quantile(rule: Rule) -> float:
    return rule.quantile if rule.quantile is not None else DEFAULT_QUANTILE


LATENCY = Latency(
    name="latency",
    description="share of requests slower than maxRatio times the stable version's quantile",
    event="requests",
    fields=frozenset({"quantile"}),
    happened="were slow",
)
