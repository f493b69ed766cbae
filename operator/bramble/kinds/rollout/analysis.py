"""How a candidate is judged: a plain rule a guardrail. Pure; the one module that a statistical engine replaces.

Each guardrail compares the candidate's rate of bad events with the rate of the stable cohort at the same time. Above the
margin it fails; shown to be fine by the margin *or* by the absolute ceiling it passes; with too few events or nodes it
is undecided. These are counts and ratios: no error probability is claimed for them.

A rate of the stable cohort is taken as (bad + 1) / (events + 1), the rate if the very next event were bad. So a stable
cohort that has not erred yet does not make a candidate's first error an infinite ratio, and the correction fades with
the number of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from bramble.api.rollout import Guardrail
from bramble.contracts.base import Document
from bramble.kinds.rollout.evidence import CohortCounters

Outcome = Literal["Pass", "Fail", "Undecided"]

DEFAULT_RATIO = "1.5"
DEFAULT_EVENTS = 400
DEFAULT_NODES = 1
LOST = "lost"
LOST_RATIO = 1.5
LOST_ALLOWANCE = 0.05
"""Share of nodes that fall silent for reasons of their own, such as a pulled plug: one in twenty."""


class Rule(Document):
    """A guardrail with every default filled in, so that a kept decision can be judged again whatever defaults become."""

    metric: Literal["errors", "latency", "crashes", "accuracy", "lost"]
    quantile: float | None = None
    max_ratio: float
    ceiling: float | None = None
    min_events: int
    min_nodes: int

    @classmethod
    def of(cls, guardrail: Guardrail) -> Rule:
        """As the spec says it."""
        return cls(
            metric=guardrail.metric,
            quantile=float(guardrail.quantile) if guardrail.quantile is not None else None,
            max_ratio=float(Decimal(guardrail.max_ratio or DEFAULT_RATIO)),
            ceiling=float(guardrail.ceiling) if guardrail.ceiling is not None else None,
            min_events=guardrail.min_events or DEFAULT_EVENTS,
            min_nodes=guardrail.min_nodes or DEFAULT_NODES,
        )


class Verdict(Document):
    """One guardrail's outcome with the numbers it was made from."""

    metric: str
    verdict: Outcome
    candidate_rate: float | None = None
    stable_rate: float | None = None
    candidate_events: int = 0
    stable_events: int = 0
    message: str


class Judgement(Document):
    """All guardrails: any Fail is a Fail, all Pass is a Pass, else Undecided."""

    verdict: Outcome
    guardrails: tuple[Verdict, ...]

    @property
    def failures(self) -> str:
        """The failed guardrails' messages in one line."""
        return "; ".join(verdict.message for verdict in self.guardrails if verdict.verdict == "Fail")

    @property
    def undecided(self) -> str:
        """The undecided guardrails' messages in one line."""
        return "; ".join(verdict.message for verdict in self.guardrails if verdict.verdict == "Undecided")


class Rate(NamedTuple):
    """Bad events among all."""

    bad: int
    events: int

    @property
    def share(self) -> float:
        return self.bad / self.events if self.events else 0.0

    @property
    def cautious(self) -> float:
        """As if the next event were bad."""
        return (self.bad + 1) / (self.events + 1)


def judge(rules: Sequence[Rule], candidate: CohortCounters, stable: CohortCounters) -> Judgement:
    """Judge a candidate. `lost` is always judged, whatever the rules."""
    verdicts = (judge_lost(candidate, stable), *(judge_one(rule, candidate, stable) for rule in rules))
    outcomes = {verdict.verdict for verdict in verdicts}
    overall: Outcome = "Fail" if "Fail" in outcomes else "Undecided" if "Undecided" in outcomes else "Pass"
    return Judgement(verdict=overall, guardrails=verdicts)


def judge_lost(candidate: CohortCounters, stable: CohortCounters) -> Verdict:
    """Silence of nodes that took the candidate, against silence of the others."""
    mine, theirs = Rate(candidate.lost, candidate.members), Rate(stable.lost, stable.members)
    numbers = f"{mine.bad} of {mine.events} candidate nodes fell silent or gave it up; {theirs.bad} of {theirs.events} stable ones"
    failed = mine.share > LOST_ALLOWANCE + LOST_RATIO * theirs.share
    return _verdict(LOST, "Fail" if failed else "Pass", mine, theirs, numbers)


def judge_one(rule: Rule, candidate: CohortCounters, stable: CohortCounters) -> Verdict:
    """One guardrail. Missing data is neither a pass nor a failure."""
    if rule.metric == "latency":
        return _judge_latency(rule, candidate, stable)
    mine, theirs = rate_of(rule.metric, candidate), rate_of(rule.metric, stable)
    if (short := _too_few(rule, candidate, mine)) is not None:
        return _verdict(rule.metric, "Undecided", mine, theirs, short)
    return _compare(rule, mine, theirs, rule.max_ratio * theirs.cautious)


def rate_of(metric: str, counters: CohortCounters) -> Rate:
    """Bad events of a metric among all that count for it."""
    match metric:
        case "errors":
            return Rate(counters.errors, counters.requests)
        case "crashes":
            return Rate(counters.crashes, counters.requests)
        case "accuracy":
            return Rate(counters.wrong, counters.right + counters.wrong)
        case _:
            raise ValueError(f"{metric!r} is no share of events")


def _judge_latency(rule: Rule, candidate: CohortCounters, stable: CohortCounters) -> Verdict:
    """The share of requests slower than maxRatio x the stable quantile, against the share the quantile itself leaves."""
    quantile = rule.quantile if rule.quantile is not None else 0.99
    stable_quantile = stable.latency.quantile(quantile)
    events, theirs = candidate.latency.count, Rate(0, stable.latency.count)
    if (short := _too_few(rule, candidate, Rate(0, events))) is not None:
        return _verdict(rule.metric, "Undecided", Rate(0, events), theirs, short)
    if stable_quantile is None or stable.latency.count < rule.min_events:
        message = f"{stable.latency.count} stable requests to compare with, {rule.min_events} needed"
        return _verdict(rule.metric, "Undecided", Rate(0, events), theirs, message)
    threshold = rule.max_ratio * stable_quantile
    mine = Rate(candidate.latency.slower_than(threshold), events)
    allowed = max(1 - quantile, rule.ceiling or 0.0)
    numbers = (
        f"{_percent(mine.share)} of {events} requests slower than {threshold:.2f} ms ({rule.max_ratio:g} × stable p{100 * quantile:g})"
    )
    outcome: Outcome = "Fail" if mine.share > allowed else "Pass"
    return _verdict(rule.metric, outcome, mine, theirs, f"latency: {numbers}; {_percent(allowed)} allowed")


def _compare(rule: Rule, mine: Rate, theirs: Rate, margin: float) -> Verdict:
    numbers = f"{rule.metric}: {_percent(mine.share)} of {mine.events} bad, stable {_percent(theirs.share)} of {theirs.events}"
    if rule.ceiling is not None and mine.share <= rule.ceiling:
        return _verdict(rule.metric, "Pass", mine, theirs, f"{numbers}; at most the ceiling {_percent(rule.ceiling)}")
    if theirs.events < rule.min_events:
        return _verdict(rule.metric, "Undecided", mine, theirs, f"{numbers}; {rule.min_events} stable events needed to compare")
    outcome: Outcome = "Fail" if mine.share > margin else "Pass"
    return _verdict(rule.metric, outcome, mine, theirs, f"{numbers}; {rule.max_ratio:g} × stable is {_percent(margin)}")


def _too_few(rule: Rule, candidate: CohortCounters, mine: Rate) -> str | None:
    if mine.events < rule.min_events:
        return f"{rule.metric}: {mine.events} of {rule.min_events} events"
    nodes = candidate.labelled if rule.metric == "accuracy" else candidate.nodes
    if nodes < rule.min_nodes:
        return f"{rule.metric}: events from {nodes} of {rule.min_nodes} nodes"
    return None


def _verdict(metric: str, verdict: Outcome, mine: Rate, theirs: Rate, message: str) -> Verdict:
    return Verdict(
        metric=metric,
        verdict=verdict,
        candidate_rate=round(mine.share, 6),
        stable_rate=round(theirs.share, 6),
        candidate_events=mine.events,
        stable_events=theirs.events,
        message=message,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
