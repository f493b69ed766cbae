"""The share of failed requests. What every metric of bad events among all has in common is tested here too."""

from __future__ import annotations

import pytest

from bramble.guardrails.base import Rule
from bramble.guardrails.errors import ERRORS
from bramble.guardrails.evidence import CohortCounters
from tests.unit.guardrails.cohort import cohort

row = pytest.param
RULE = Rule(metric="errors", max_ratio=2, min_events=400, min_nodes=2)
ONE_NODE = RULE.model_copy(update={"min_nodes": 1})
NO_NODE = cohort(400, errors=400).model_copy(update={"nodes": {}})
WITH_CEILING = RULE.model_copy(update={"ceiling": 0.01})
STABLE = cohort(999, errors=9)
"""Its cautious rate is (9 + 1) / (999 + 1) = 1 %, so the margin is 2 %."""


@pytest.mark.parametrize(
    ("rule", "candidate", "stable", "expected"),
    [
        row(RULE, cohort(0), STABLE, "Undecided", id="no events prove nothing"),
        row(RULE, cohort(399, errors=399), STABLE, "Undecided", id="one event too few proves nothing, however bad they are"),
        row(RULE, cohort(400, errors=400), STABLE, "Fail", id="as many events as are needed decide"),
        row(RULE, cohort(400, errors=400, nodes=1), STABLE, "Undecided", id="one node too few proves nothing"),
        row(RULE, cohort(400, errors=400, nodes=2), STABLE, "Fail", id="as many nodes as are needed decide"),
        row(RULE, cohort(400, errors=400), cohort(399), "Undecided", id="one stable event too few is nothing to compare with"),
        row(RULE, cohort(400, errors=400), cohort(400), "Fail", id="as many stable events as are needed are compared with"),
        row(RULE, cohort(400, errors=8), STABLE, "Pass", id="exactly at the margin it passes"),
        row(RULE, cohort(400, errors=9), STABLE, "Fail", id="one error above the margin it fails"),
        row(RULE, cohort(100_000, errors=2003), STABLE, "Fail", id="a little above the margin it fails"),
        row(
            ONE_NODE, cohort(400, errors=400).model_copy(update={"nodes": {}}), STABLE, "Undecided", id="no node is said to have any event"
        ),
        row(RULE, cohort(1000, errors=1), cohort(1000), "Pass", id="one error against none is no infinite ratio"),
        row(WITH_CEILING, cohort(400, errors=4), cohort(0), "Pass", id="exactly at the ceiling it passes with nobody to compare with"),
        row(WITH_CEILING, cohort(400, errors=5), cohort(0), "Undecided", id="above the ceiling it needs somebody to compare with"),
        row(WITH_CEILING, cohort(400, errors=5), STABLE, "Pass", id="above the ceiling but within the margin it passes"),
        row(WITH_CEILING, cohort(400, errors=9), STABLE, "Fail", id="above the ceiling and the margin it fails"),
        row(WITH_CEILING, cohort(399), STABLE, "Undecided", id="the ceiling needs enough events as well"),
    ],
)
def test_errors(rule: Rule, candidate: CohortCounters, stable: CohortCounters, expected: str) -> None:
    verdict = ERRORS.judge(rule, candidate, stable)
    assert verdict.verdict == expected, verdict.message


def test_rates_are_rounded_to_six_digits() -> None:
    verdict = ERRORS.judge(RULE, cohort(600, errors=200), cohort(700, errors=100))
    assert verdict.candidate_rate == 0.333333
    assert verdict.stable_rate == 0.142857


def test_a_verdict_has_both_rates_and_says_how_they_compare() -> None:
    verdict = ERRORS.judge(RULE, cohort(400, errors=9), STABLE)
    assert verdict.model_dump(by_alias=True) == {
        "metric": "errors",
        "verdict": "Fail",
        "candidateRate": 0.0225,
        "stableRate": 0.009009,
        "candidateEvents": 400,
        "stableEvents": 999,
        "message": "errors: 2.25 % of 400 requests failed on candidate nodes, 0.901 % of 999 on stable nodes;"
        " at most 2 % is allowed (2 × stable)",
    }
