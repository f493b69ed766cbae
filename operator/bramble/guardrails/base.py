"""What every guardrail metric has: a description for the API, the counts that it reads, and a judgement of a candidate. Pure.

The docstring of a metric's module is its section in docs/reference/guardrails.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from bramble.contracts.base import Document
from bramble.contracts.confusion import Confusion
from bramble.contracts.counters import Counted
from bramble.evidence.verdict import Levels, Outcome
from bramble.guardrails.evidence import GuardEvidence, Tally

SHARE_FIELDS = frozenset({"better", "ceiling", "limit", "maxRatio", "minEvents", "minNodes"})
"""Optional fields of a guardrail on a share of events."""

CLASS_CHARACTERS = 30
"""How much of a class's name a message has."""


def titled(metric: str, label: str | None) -> str:
    """A metric as messages call it, with its class: `errors`, `recall of 'ad'`."""
    return metric if label is None else f"{metric} of {label[:CLASS_CHARACTERS]!r}"


class Rule(Document):
    """A guardrail of a spec with every default filled in, so that a stored decision can be judged again when defaults have changed.

    Attributes:
        quantile: of the stable version's durations, between 0 and 1; for metrics that compare with one.
        label: the class that is counted; for metrics of one class.
        max_ratio: the margin: how many times the stable cohort's rate the candidate's rate may be.
        ceiling: a rate below which a version passes whatever the stable cohort's rate is, between 0 and 1.
        limit: a rate above which a version fails whatever the stable cohort's rate is, between 0 and 1.
        better: the candidate passes only if its rate is shown to be lower than the stable cohort's.
        absolute: there is no stable version to compare with: only limit and ceiling are judged.
        min_events: how many events the candidate must have had before it passes.
        min_nodes: on how many candidate nodes there must have been any event before it passes.
        allowed_growth: by how many MiB per hour memory may grow faster than on stable nodes; None for metrics that count events.
        growth_limit: a growth in MiB per hour above which a version fails whatever that of the stable nodes is.
    """

    metric: str
    quantile: float | None = None
    label: str | None = None
    max_ratio: float
    ceiling: float | None = None
    limit: float | None = None
    better: Literal[True] | None = None
    absolute: Literal[True] | None = None
    min_events: int
    min_nodes: int
    allowed_growth: float | None = None
    growth_limit: float | None = None

    @property
    def title(self) -> str:
        """How a message calls it."""
        return titled(self.metric, self.label)


class Verdict(Document):
    """What one metric concludes, with the numbers that it concluded it from.

    Attributes:
        label: the class that was counted; None for a metric of all classes.
        candidate_rate, stable_rate: bad events per event; for memory, the median growth in MiB per hour.
        candidate_events, stable_events: how many events there were.
        candidate_nodes, stable_nodes: on how many nodes.
        candidate_deviation, stable_deviation: standard deviation of the rates of single nodes; None for fewer than two nodes.
        to_fail, to_pass: how far the evidence has come on the way to either decision, from 0 to 1.
        drift: as in `GuardEvidence`.
    """

    metric: str
    label: str | None = None
    verdict: Outcome
    candidate_rate: float
    stable_rate: float
    candidate_events: int
    stable_events: int
    candidate_nodes: int = 0
    stable_nodes: int = 0
    candidate_deviation: float | None = None
    stable_deviation: float | None = None
    to_fail: float = 0.0
    to_pass: float = 0.0
    drift: float | None = None
    message: str

    @property
    def title(self) -> str:
        """How a message calls it."""
        return titled(self.metric, self.label)

    @property
    def difference(self) -> str:
        """By how much the candidate's rate differs from the stable one, as a person reads it; empty where one of them had no event.

        It says what was counted, not what is shown: that is the verdict.
        """
        if not (self.candidate_events and self.stable_events):
            return ""
        gap = self.candidate_rate - self.stable_rate
        relative = f" ({100 * gap / self.stable_rate:+.3g} %)" if self.stable_rate else ""
        return f"{100 * gap:+.3g} points{relative}, {'worse' if gap > 0 else 'better'}" if gap else "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric(ABC):
    """One guardrail metric.

    Attributes:
        name: how a spec, a verdict and a stored decision call it.
        description: what it measures, as the rest of a sentence that begins with its name.
        event: what one event is, in the plural, as a message and the API's description call it.
        fields: optional fields of a guardrail that this metric needs. No metric that does not list a field may be given it.
        takes: optional fields of a guardrail that this metric may be given as well, by their names in a spec.
        always: it is judged for every candidate, and a spec cannot name it.
        promotes: a spec may name it alone. One that does not can undo a candidate, but is never the only reason to promote one.
    """

    name: str
    description: str
    event: str
    fields: frozenset[str] = frozenset()
    takes: frozenset[str] = SHARE_FIELDS
    always: Rule | None = None
    promotes: bool = True

    @property
    def reads(self) -> frozenset[str]:
        """Names of the devices' counts and histograms that it reads (`bramble.contracts.counters`)."""
        return frozenset()

    @abstractmethod
    def judge(self, rule: Rule, evidence: GuardEvidence, levels: Levels) -> Verdict:
        """The verdict that follows from the evidence. Missing data is neither a pass nor a failure: it is undecided."""

    def tests(self, rule: Rule) -> int:  # noqa: ARG002
        """How many of its tests can undo a candidate: the allowed probability is divided among those of all guardrails."""
        return 0

    def stands_alone(self, rule: Rule) -> bool:  # noqa: ARG002
        """Whether a rule can be judged where there is no stable version."""
        return False

    def figure(self, rate: float) -> str:
        """A rate of a verdict as a person reads it."""
        return percent(rate)

    def difference(self, verdict: Verdict) -> str:
        """By how much both cohorts' rates in a verdict differ, as a person reads it."""
        return verdict.difference

    def verdict(self, outcome: Outcome, evidence: GuardEvidence, message: str, to_fail: float = 0.0, to_pass: float = 0.0) -> Verdict:
        """A verdict with the rates of both cohorts."""
        mine, theirs = evidence.candidate, evidence.stable
        return Verdict(
            metric=self.name,
            label=evidence.label,
            verdict=outcome,
            candidate_rate=round(mine.share, 6),
            stable_rate=round(theirs.share, 6),
            candidate_events=mine.events,
            stable_events=theirs.events,
            candidate_nodes=mine.nodes,
            stable_nodes=theirs.nodes,
            candidate_deviation=evidence.candidate_deviation,
            stable_deviation=evidence.stable_deviation,
            to_fail=round(min(1.0, max(0.0, to_fail)), 3),
            to_pass=round(min(1.0, max(0.0, to_pass)), 3),
            drift=round(evidence.drift, 4) if evidence.drift is not None else None,
            message=f"{titled(self.name, evidence.label)}: {message}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedMetric(Metric):
    """A metric that compares shares of bad events which the devices count.

    It fails once the candidate is shown to have more than `max_ratio` times the stable cohort's rate, on all its nodes together or on
    several of them, or to be above its limit. It passes once its rate is shown to be less than that multiple, or to be below its ceiling.
    Where the rule asks for better, it passes only once its rate is shown to be lower than the stable cohort's.

    Attributes:
        happened: what a bad event is, as the verb of a message: "failed".
        kept_on_disk: devices keep the number of bad events when the agent starts again; all other counts begin at zero.
    """

    happened: str
    kept_on_disk: bool = False

    @property
    def compares_durations(self) -> bool:
        """Whether what counts as bad depends on an edge of the histogram, which follows from the stable version."""
        return False

    @abstractmethod
    def tally(self, counted: Counted, edge: int | None, label: str | None = None) -> tuple[int, int] | None:
        """How many bad events, and how many in all, a device counted; None where it does not say, which is no proof that there were none.

        Args:
            edge: index of the last bucket of durations that is not slow, for metrics that compare durations.
            label: the class that is counted, for metrics of one class.
        """

    def edge(self, rule: Rule, stable: Iterable[Counted]) -> int | None:  # noqa: ARG002
        """The edge that follows from what nodes counted for the stable version; None while there is too little of it."""
        return None

    def allowed(self, rule: Rule) -> float | None:  # noqa: ARG002
        """A rate that is allowed whatever the stable cohort's is: only above it a version can be worse. None for no such rate."""
        return None

    def over_ms(self, edge: int | None) -> float | None:  # noqa: ARG002
        """The duration that the edge stands for."""
        return None

    def unknown(self, rule: Rule, evidence: GuardEvidence) -> str | None:  # noqa: ARG002
        """Why nothing can be counted yet; None where it can."""
        return None

    def tests(self, rule: Rule) -> int:
        """The comparison with the stable cohort, and the limit."""
        return (0 if rule.absolute else 1) + (0 if rule.limit is None else 1)

    def stands_alone(self, rule: Rule) -> bool:
        """Its limit and its ceiling can. What is slow cannot be known there."""
        return (rule.limit is not None or bool(rule.ceiling)) and not self.compares_durations

    def judge(self, rule: Rule, evidence: GuardEvidence, levels: Levels) -> Verdict:
        """Compare the evidence with what a decision needs (`bramble.guardrails.judging`)."""
        from bramble.guardrails.judging import judge  # brings numpy, which programs that only read the API's models do not need

        return judge(self, rule, evidence, levels)

    def too_few(self, rule: Rule, candidate: Tally) -> str | None:
        """Why the candidate cannot pass yet, or None when it has had enough events on enough nodes."""
        if candidate.events < rule.min_events:
            return f"{candidate.events} of {rule.min_events} {self.event} so far on candidate nodes"
        if candidate.nodes < rule.min_nodes:
            return f"{self.event} so far on {candidate.nodes} of {rule.min_nodes} candidate nodes"
        return None

    def numbers(self, rule: Rule, evidence: GuardEvidence) -> str:
        """Both rates, as the beginning of a message; one where there is nothing to compare with."""
        mine, theirs = evidence.candidate, evidence.stable
        said = f"{percent(mine.share)} of {mine.events} {self.event} {self.bad_events(evidence)} on candidate nodes"
        if rule.absolute:
            return said
        return f"{said}, {percent(theirs.share)} of {theirs.events} on stable nodes{' before' if evidence.frozen else ''}"

    def bad_events(self, evidence: GuardEvidence) -> str:  # noqa: ARG002
        """What a bad event is, as the verb of a message."""
        return self.happened


@dataclass(frozen=True, kw_only=True, slots=True)
class EventShare(CountedMetric):
    """A metric whose bad events are counted under names of their own.

    Attributes:
        bad: names of the counts of bad events.
        among: names of the counts of all events.
    """

    bad: tuple[str, ...]
    among: tuple[str, ...]

    @property
    def reads(self) -> frozenset[str]:
        """All names of both."""
        return frozenset({*self.bad, *self.among})

    def tally(self, counted: Counted, edge: int | None, label: str | None = None) -> tuple[int, int]:  # noqa: ARG002
        """Bad events among all. More bad events than events are as many events."""
        bad = counted.count(*self.bad)
        return bad, max(bad, counted.count(*self.among))


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassShare(CountedMetric):
    """A metric whose events are the labelled answers of one class, and whose bad ones are the wrong answers among them.

    Attributes:
        count: the bad events and all events of a class in what a device counted.
    """

    count: Callable[[Confusion, str], tuple[int, int]]

    @property
    def reads(self) -> frozenset[str]:
        """The counts by class."""
        return frozenset({"confusion"})

    def tally(self, counted: Counted, edge: int | None, label: str | None = None) -> tuple[int, int] | None:  # noqa: ARG002
        """Wrong answers among those of the class; None from a device that has counted no class yet, or had no room to report them."""
        return self.count(counted.confusion, label) if counted.confusion is not None and label is not None else None


def percent(share: float) -> str:
    """A share as a person reads it, with three significant digits."""
    return f"{100 * share:.3g} %"
