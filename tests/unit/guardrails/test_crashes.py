"""Deaths of the agent per request."""

from __future__ import annotations

import pytest

from bramble.guardrails.base import Rule
from bramble.guardrails.crashes import CRASHES
from bramble.guardrails.evidence import CohortCounters
from tests.unit.guardrails.cohort import cohort

row = pytest.param
RULE = Rule(metric="crashes", max_ratio=2, min_events=400, min_nodes=1)


@pytest.mark.parametrize(
    ("candidate", "stable", "expected"),
    [
        row(cohort(400), cohort(400), "Pass", id="without a crash it passes"),
        row(cohort(400, crashes=2), cohort(399 + 400, crashes=0), "Fail", id="two crashes against none in twice the requests fail"),
        row(cohort(400, crashes=2), cohort(399, crashes=1, errors=1), "Undecided", id="too few stable requests are no comparison"),
        row(cohort(400, crashes=2), cohort(400, crashes=2), "Pass", id="as many crashes as the stable version's pass"),
        row(cohort(400, errors=400), cohort(400), "Pass", id="errors are not crashes"),
    ],
)
def test_crashes(candidate: CohortCounters, stable: CohortCounters, expected: str) -> None:
    verdict = CRASHES.judge(RULE, candidate, stable)
    assert verdict.verdict == expected, verdict.message
