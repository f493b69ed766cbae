"""Judges a candidate by its guardrails. Pure; the metrics themselves are in `bramble.guardrails`, and their tests in `bramble.evidence`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from bramble.api.guardrail import DEFAULT_EVENTS, DEFAULT_NODES, DEFAULT_RATIO, Guardrail
from bramble.api.rollout import Analysis
from bramble.api.schema import amount
from bramble.contracts.base import Document
from bramble.evidence.verdict import Levels, Outcome
from bramble.guardrails.base import CountedMetric, Rule, Verdict
from bramble.guardrails.catalogue import METRICS, metric_named
from bramble.guardrails.evidence import GuardEvidence
from bramble.guardrails.growth import DEFAULT_GROWTH, MIB, GrowthMetric

ALWAYS: tuple[Rule, ...] = tuple(metric.always for metric in METRICS if metric.always is not None)
"""The rules that every candidate is judged by, whatever the spec says."""


class ErrorRates(Document):
    """The probabilities of wrong decisions that a spec allows: α and β of `bramble.evidence.verdict.Levels`."""

    false_rollback: float
    false_promotion: float


class Judgement(Document):
    """All verdicts. Any Fail makes it a Fail; if every verdict is a Pass it is a Pass; otherwise it is Undecided."""

    verdict: Outcome
    guardrails: tuple[Verdict, ...]

    def of(self, metric: str) -> Outcome:
        """The verdict on a metric that is judged once."""
        return next(verdict.verdict for verdict in self.guardrails if verdict.metric == metric)

    def messages(self, outcome: Outcome) -> str:
        """The messages of the guardrails with this outcome, in one line."""
        return "; ".join(verdict.message for verdict in self.guardrails if verdict.verdict == outcome)

    def unworded(self) -> Judgement:
        """The judgement without its messages."""
        return self.model_copy(update={"guardrails": tuple(verdict.model_copy(update={"message": ""}) for verdict in self.guardrails)})


def rule_of(guardrail: Guardrail) -> Rule:
    """A guardrail of a spec with its defaults filled in. Specs of earlier releases may have a margin below 1, and a ceiling of 0."""
    if isinstance(metric_named(guardrail.metric), GrowthMetric):
        return Rule(
            metric=guardrail.metric,
            max_ratio=1.0,
            min_events=0,
            min_nodes=guardrail.min_nodes or DEFAULT_NODES,
            allowed_growth=DEFAULT_GROWTH if guardrail.allowed_growth is None else _mebibytes(guardrail.allowed_growth),
            growth_limit=None if guardrail.growth_limit is None else _mebibytes(guardrail.growth_limit),
        )
    return Rule(
        metric=guardrail.metric,
        quantile=float(guardrail.quantile) if guardrail.quantile is not None else None,
        label=guardrail.label,
        max_ratio=max(1.0, float(Decimal(guardrail.max_ratio or DEFAULT_RATIO))),
        ceiling=float(guardrail.ceiling or 0) or None,
        limit=float(guardrail.limit) if guardrail.limit is not None else None,
        better=guardrail.better or None,
        min_events=guardrail.min_events or DEFAULT_EVENTS,
        min_nodes=guardrail.min_nodes or DEFAULT_NODES,
    )


def _mebibytes(quantity: int | str) -> float:
    return float(amount(quantity)) / MIB


def absolute(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """What is left of these rules where there is no stable version: limits and ceilings."""
    judged = (rule for rule in rules if metric_named(rule.metric).stands_alone(rule))
    return tuple(rule.model_copy(update={"absolute": True, "better": None}) for rule in judged)


def watched_rules(analysis: Analysis) -> tuple[Rule, ...]:
    """What a promoted version is watched by: the guardrails of the watch, or else those of the spec. None where nothing is watched.

    A guardrail with a limit, and with neither a margin nor a ceiling, is not compared with the version's own rate.
    """
    if analysis.watch is None:
        return ()
    return tuple(
        dict.fromkeys(
            rule_of(each).model_copy(update={"better": None, "absolute": _only_limit(each) or None})
            for each in analysis.watch.guardrails or analysis.guardrails
            if isinstance(metric_named(each.metric), CountedMetric)
        )
    )


def _only_limit(guardrail: Guardrail) -> bool:
    return guardrail.limit is not None and guardrail.max_ratio is None and not guardrail.ceiling


def tests_of(rules: Iterable[Rule]) -> int:
    """How many tests of these rules can undo a version: among so many the allowed probability is divided."""
    return max(1, sum(metric_named(rule.metric).tests(rule) for rule in rules))


def error_rates(analysis: Analysis) -> ErrorRates:
    """The error rates of a spec."""
    return ErrorRates(false_rollback=float(analysis.false_rollback_rate), false_promotion=float(analysis.false_promotion_rate))


def judge(rules: Sequence[Rule], evidence: Sequence[GuardEvidence], rates: ErrorRates) -> Judgement:
    """Judge a candidate by rules.

    Args:
        rules: those of `ALWAYS` among them.
        evidence: that about each rule.
    """
    levels = Levels(false_rollback=rates.false_rollback, false_promotion=rates.false_promotion, guardrails=tests_of(rules))
    verdicts = tuple(metric_named(rule.metric).judge(rule, seen, levels) for rule, seen in zip(rules, evidence, strict=True))
    outcomes = {verdict.verdict for verdict in verdicts}
    overall: Outcome = "Fail" if "Fail" in outcomes else "Undecided" if "Undecided" in outcomes else "Pass"
    return Judgement(verdict=overall, guardrails=verdicts)
