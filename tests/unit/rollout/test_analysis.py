"""All guardrails together, and what is filled in for a guardrail that leaves something out."""

from __future__ import annotations

import pytest

from bramble.api.rollout import Guardrail
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import CohortCounters
from bramble.kinds.rollout.analysis import judge, rule_of
from tests.unit.guardrails.cohort import cohort, feedback

row = pytest.param
ERRORS = Rule(metric="errors", max_ratio=1.5, min_events=100, min_nodes=1)
ACCURACY = Rule(metric="accuracy", max_ratio=1.5, min_events=100, min_nodes=1)
STABLE = feedback(1000, wrong=10)


@pytest.mark.parametrize(
    ("rules", "candidate", "expected"),
    [
        row([], cohort(), "Pass", id="without guardrails only silence is judged"),
        row([], cohort(lost=1, members=1), "Fail", id="silence fails without any guardrail"),
        row([ERRORS, ACCURACY], feedback(100), "Pass", id="all pass"),
        row([ERRORS, ACCURACY], cohort(100), "Undecided", id="one is undecided"),
        row([ERRORS, ACCURACY], cohort(100, errors=50), "Fail", id="one fails while another is undecided"),
    ],
)
def test_the_verdict_of_all_guardrails(rules: list[Rule], candidate: CohortCounters, expected: str) -> None:
    judgement = judge(rules, candidate, STABLE)
    assert judgement.verdict == expected, judgement
    assert [verdict.metric for verdict in judgement.guardrails] == ["lost", *(rule.metric for rule in rules)]


def test_a_guardrail_that_leaves_everything_out_gets_the_documented_defaults() -> None:
    assert rule_of(Guardrail(metric="errors")) == Rule(metric="errors", max_ratio=1.5, min_events=400, min_nodes=1)


def test_a_guardrail_keeps_what_it_says() -> None:
    guardrail = Guardrail(metric="latency", quantile="0.9", max_ratio="2", ceiling="0", min_events=7, min_nodes=3)
    assert rule_of(guardrail) == Rule(metric="latency", quantile=0.9, max_ratio=2, ceiling=0, min_events=7, min_nodes=3)
