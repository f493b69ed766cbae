"""Judges a candidate by its guardrails. Pure; the metrics themselves are in `bramble.guardrails`.

Each metric compares the candidate's rate of bad events with the rate of the stable cohort at the same time. These are counts and ratios:
no error probability is claimed for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from bramble.api.rollout import DEFAULT_EVENTS, DEFAULT_NODES, DEFAULT_RATIO, Guardrail
from bramble.contracts.base import Document
from bramble.guardrails.base import Outcome, Rule, Verdict
from bramble.guardrails.catalogue import METRICS, metric_named
from bramble.guardrails.evidence import CohortCounters

ALWAYS: tuple[Rule, ...] = tuple(metric.always for metric in METRICS if metric.always is not None)
"""The rules that every candidate is judged by, whatever the spec says."""


class Judgement(Document):
    """All verdicts. Any Fail makes it a Fail; if every verdict is a Pass it is a Pass; otherwise it is Undecided."""

    verdict: Outcome
    guardrails: tuple[Verdict, ...]

    def failed(self, metric: str) -> bool:
        """Whether this metric failed."""
        return any(verdict.metric == metric and verdict.verdict == "Fail" for verdict in self.guardrails)

    def messages(self, outcome: Outcome) -> str:
        """The messages of the guardrails with this outcome, in one line."""
        return "; ".join(verdict.message for verdict in self.guardrails if verdict.verdict == outcome)

    def unworded(self) -> Judgement:
        """The judgement without its messages."""
        return self.model_copy(update={"guardrails": tuple(verdict.model_copy(update={"message": ""}) for verdict in self.guardrails)})


def rule_of(guardrail: Guardrail) -> Rule:
    """A guardrail of a spec with its defaults filled in."""
    return Rule(
        metric=guardrail.metric,
        quantile=float(guardrail.quantile) if guardrail.quantile is not None else None,
        max_ratio=float(Decimal(guardrail.max_ratio or DEFAULT_RATIO)),
        ceiling=float(guardrail.ceiling) if guardrail.ceiling is not None else None,
        min_events=guardrail.min_events or DEFAULT_EVENTS,
        min_nodes=guardrail.min_nodes or DEFAULT_NODES,
    )


def judge(rules: Sequence[Rule], candidate: CohortCounters, stable: CohortCounters) -> Judgement:
    """Judge a candidate by these rules, and by those of `ALWAYS`."""
    verdicts = tuple(metric_named(rule.metric).judge(rule, candidate, stable) for rule in (*ALWAYS, *rules))
    outcomes = {verdict.verdict for verdict in verdicts}
    overall: Outcome = "Fail" if "Fail" in outcomes else "Undecided" if "Undecided" in outcomes else "Pass"
    return Judgement(verdict=overall, guardrails=verdicts)
