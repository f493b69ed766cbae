"""What every guardrail metric has: a description for the API, the counts that it reads, and a judgement of a candidate. Pure.

The docstring of a metric's module is its section in docs/reference/guardrails.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bramble.contracts.base import Document
from bramble.contracts.counters import Counted
from bramble.guardrails.evidence import CohortCounters

Outcome = Literal["Pass", "Fail", "Undecided"]


class Rule(Document):
    """A guardrail of a spec with every default filled in, so that a stored decision can be judged again when defaults have changed.

    Attributes:
        quantile: of the stable version's durations, between 0 and 1; for metrics that compare with one.
        max_ratio: the margin: how many times the stable cohort's rate the candidate's rate may be.
        ceiling: a rate that passes whatever the stable cohort's rate is, between 0 and 1.
        min_events: how many events each cohort must have had before they are compared.
        min_nodes: how many candidate nodes must have had any event.
    """

    metric: str
    quantile: float | None = None
    max_ratio: float
    ceiling: float | None = None
    min_events: int
    min_nodes: int


class Verdict(Document):
    """What one metric concludes, with the numbers that it concluded it from."""

    metric: str
    verdict: Outcome
    candidate_rate: float
    stable_rate: float
    candidate_events: int
    stable_events: int
    message: str


class Rate(NamedTuple):
    """How many of all events are bad."""

    bad: int
    events: int

    @property
    def share(self) -> float:
        """Bad events per event; 0 without any event."""
        return self.bad / self.events if self.events else 0.0

    @property
    def cautious(self) -> float:
        """The share if one more event were counted and were bad.

        The margin is a multiple of this. Otherwise a stable cohort without any bad event would make a candidate's first bad event an
        infinite ratio. The difference to `share` fades as events are counted.
        """
        return (self.bad + 1) / (self.events + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric(ABC):
    """One guardrail metric.

    Attributes:
        name: how a spec, a verdict and a stored decision call it.
        description: what it measures, as the rest of a sentence that begins with its name.
        event: what one event is, in the plural, as a message and the API's description call it.
        fields: optional fields of a guardrail that this metric needs. No metric that does not list a field may be given it.
        always: it is judged for every candidate, and a spec cannot name it.
    """

    name: str
    description: str
    event: str
    fields: frozenset[str] = frozenset()
    always: Rule | None = None

    @property
    def counts(self) -> frozenset[str]:
        """Names of the devices' counts that it reads (`bramble.contracts.counters`)."""
        return frozenset()

    @property
    def histograms(self) -> frozenset[str]:
        """Names of the devices' histograms that it reads."""
        return frozenset()

    @abstractmethod
    def events(self, counted: Counted) -> int:
        """How many events that this metric judges were counted, on one node or on a cohort."""

    @abstractmethod
    def judge(self, rule: Rule, candidate: CohortCounters, stable: CohortCounters) -> Verdict:
        """Compare the candidate with the stable cohort. Missing data is neither a pass nor a failure: it is undecided."""

    def too_few(self, rule: Rule, candidate: CohortCounters) -> str | None:
        """Why the candidate cannot be judged yet, or None when it has enough events on enough nodes."""
        if (events := self.events(candidate)) < rule.min_events:
            return f"{self.name}: {events} of {rule.min_events} {self.event} so far on candidate nodes"
        if (nodes := candidate.nodes.get(self.name, 0)) < rule.min_nodes:
            return f"{self.name}: {self.event} so far on {nodes} of {rule.min_nodes} candidate nodes"
        return None

    def verdict(self, outcome: Outcome, candidate: Rate, stable: Rate, message: str) -> Verdict:
        """A verdict with both rates."""
        return Verdict(
            metric=self.name,
            verdict=outcome,
            candidate_rate=round(candidate.share, 6),
            stable_rate=round(stable.share, 6),
            candidate_events=candidate.events,
            stable_events=stable.events,
            message=message,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EventShare(Metric):
    """A metric that compares shares of bad events.

    It passes when the candidate's share is at most the rule's ceiling, or at most `max_ratio` times the stable cohort's share; it fails
    when neither holds. Without enough events of the stable cohort only the ceiling can decide.

    Attributes:
        bad: names of the counts of bad events.
        among: names of the counts of all events.
        happened: what a bad event is, as the verb of a message: "failed".
    """

    bad: tuple[str, ...]
    among: tuple[str, ...]
    happened: str

    @property
    def counts(self) -> frozenset[str]:
        """All names of both."""
        return frozenset({*self.bad, *self.among})

    def rate(self, counted: Counted) -> Rate:
        """Bad events among all."""
        return Rate(counted.count(*self.bad), counted.count(*self.among))

    def events(self, counted: Counted) -> int:
        """How many events were counted, bad or not."""
        return counted.count(*self.among)

    def judge(self, rule: Rule, candidate: CohortCounters, stable: CohortCounters) -> Verdict:
        """Compare the two shares."""
        mine, theirs = self.rate(candidate), self.rate(stable)
        if (missing := self.too_few(rule, candidate)) is not None:
            return self.verdict("Undecided", mine, theirs, missing)
        numbers = (
            f"{self.name}: {percent(mine.share)} of {mine.events} {self.event} {self.happened} on candidate nodes,"
            f" {percent(theirs.share)} of {theirs.events} on stable nodes"
        )
        if rule.ceiling is not None and mine.share <= rule.ceiling:
            return self.verdict("Pass", mine, theirs, f"{numbers}; the ceiling is {percent(rule.ceiling)}")
        if theirs.events < rule.min_events:
            return self.verdict("Undecided", mine, theirs, f"{numbers}; {rule.min_events} on stable nodes are needed to compare")
        margin = rule.max_ratio * theirs.cautious
        outcome: Outcome = "Fail" if mine.share > margin else "Pass"
        return self.verdict(outcome, mine, theirs, f"{numbers}; at most {percent(margin)} is allowed ({rule.max_ratio:g} × stable)")


def percent(share: float) -> str:
    """A share as a person reads it, with three significant digits."""
    return f"{100 * share:.3g} %"
