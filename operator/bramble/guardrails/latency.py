"""Requests that take clearly longer than the slow requests of the stable version.

An example: with `quantile: "0.99"` and `maxRatio: "2"`, take the duration that 99 % of the stable nodes' requests keep to (their p99), and
double it. The candidate passes if at most 1 % of its requests take longer than that, and fails otherwise.

In general the threshold is `maxRatio` times the stable nodes' `quantile`, and the share `1 - quantile` of the candidate's requests may be
slower, or the share `ceiling`, where that is larger. The guardrail is undecided while the candidate has fewer than `minEvents` requests, or
requests on fewer than `minNodes` nodes, or the stable nodes have fewer than `minEvents` requests.

Durations are measured on the device, from the whole request to the answer, and fall into buckets whose bounds are 0.1 ms x 2^(k/8). The
threshold is rounded up to the next bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from bramble.contracts.counters import PREDICT, Counted
from bramble.guardrails.base import Metric, Outcome, Rate, Rule, Verdict, percent
from bramble.guardrails.evidence import CohortCounters

DEFAULT_QUANTILE = 0.99
"""Used for a rule without one. A spec must name it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency(Metric):
    """Durations of requests, from a histogram. The threshold is rounded up to the histogram's next bound."""

    @property
    def histograms(self) -> frozenset[str]:
        """The histogram of requests."""
        return frozenset({PREDICT})

    def events(self, counted: Counted) -> int:
        """How many requests were answered."""
        return counted.histogram(PREDICT).count

    def judge(self, rule: Rule, candidate: CohortCounters, stable: CohortCounters) -> Verdict:
        """Compare the share of slow requests with the share that is allowed. It always needs a stable cohort to compare with."""
        quantile = rule.quantile if rule.quantile is not None else DEFAULT_QUANTILE
        mine, theirs = Rate(0, self.events(candidate)), Rate(0, self.events(stable))
        if (missing := self.too_few(rule, candidate)) is not None:
            return self.verdict("Undecided", mine, theirs, missing)
        stable_quantile = stable.histogram(PREDICT).quantile(quantile)
        if stable_quantile is None or theirs.events < rule.min_events:
            message = f"{self.name}: {theirs.events} of {rule.min_events} requests so far on stable nodes, which are needed to compare"
            return self.verdict("Undecided", mine, theirs, message)
        threshold = rule.max_ratio * stable_quantile
        mine = Rate(candidate.histogram(PREDICT).slower_than(threshold), mine.events)
        allowed = max(1 - quantile, rule.ceiling or 0.0)
        numbers = (
            f"{self.name}: {percent(mine.share)} of {mine.events} requests on candidate nodes took longer than {threshold:.2f} ms"
            f" ({rule.max_ratio:g} × stable p{100 * quantile:g})"
        )
        outcome: Outcome = "Fail" if mine.share > allowed else "Pass"
        return self.verdict(outcome, mine, theirs, f"{numbers}; at most {percent(allowed)} is allowed")


LATENCY = Latency(
    name="latency",
    description="share of requests slower than maxRatio times the stable version's quantile",
    event="requests",
    fields=frozenset({"quantile"}),
)
