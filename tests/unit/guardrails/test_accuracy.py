"""Mistakes among the predictions that have feedback."""

from __future__ import annotations

import pytest

from bramble.guardrails.accuracy import ACCURACY
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import CohortCounters
from tests.unit.guardrails.cohort import cohort, feedback

row = pytest.param
RULE = Rule(metric="accuracy", max_ratio=1.5, min_events=100, min_nodes=2)
STABLE = feedback(1000, wrong=10)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        row(feedback(100, wrong=50), "Fail", id="many more mistakes fail"),
        row(feedback(100, wrong=1), "Pass", id="as many mistakes as the stable version's pass"),
        row(feedback(99, wrong=50), "Undecided", id="too little feedback proves nothing"),
        row(feedback(100, wrong=50, nodes=1), "Undecided", id="feedback from too few nodes proves nothing"),
        row(cohort(1000, errors=900), "Undecided", id="requests without feedback are no predictions that were judged"),
    ],
)
def test_accuracy(candidate: CohortCounters, expected: str) -> None:
    verdict = ACCURACY.judge(RULE, candidate, STABLE)
    assert verdict.verdict == expected, verdict.message
