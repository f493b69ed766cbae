"""The plain rule, row by row."""

from __future__ import annotations

import pytest

from bramble.contracts.counters import LATENCY_BOUNDS_MS, Latency
from bramble.kinds.rollout.analysis import Rule, judge
from bramble.kinds.rollout.evidence import CohortCounters

ERRORS = Rule(metric="errors", max_ratio=1.5, ceiling=0.01, min_events=400, min_nodes=1)
ACCURACY = Rule(metric="accuracy", max_ratio=1.5, min_events=100, min_nodes=2)
LATENCY = Rule(metric="latency", quantile=0.99, max_ratio=2, min_events=100, min_nodes=1)


def cohort(
    requests: int,
    *,
    errors: int = 0,
    wrong: int = 0,
    nodes: int = 3,
    labelled: int | None = None,
    lost: int = 0,
    members: int = 3,
    slow: int = 0,
) -> CohortCounters:
    buckets = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    buckets[40], buckets[60] = requests - slow, slow
    return CohortCounters(
        requests=requests, errors=errors, right=requests - wrong, wrong=wrong, nodes=nodes, lost=lost, members=members,
        labelled=nodes if labelled is None else labelled, latency=Latency(buckets=tuple(buckets)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "candidate", "stable", "expected"),
    [
        pytest.param(ERRORS, cohort(399), cohort(1000), "Undecided", id="too few events prove nothing"),
        pytest.param(ERRORS, cohort(0), cohort(1000), "Undecided", id="no events prove nothing"),
        pytest.param(ERRORS, cohort(400, errors=4), cohort(0), "Pass", id="at the ceiling it is fine, with nobody to compare with"),
        pytest.param(ERRORS, cohort(400, errors=8), cohort(0), "Undecided", id="above the ceiling with nobody to compare with"),
        pytest.param(ERRORS, cohort(400, errors=20), cohort(1000, errors=20), "Fail", id="above ceiling and margin"),
        pytest.param(ERRORS, cohort(400, errors=20), cohort(1000, errors=40), "Pass", id="above the ceiling, within the margin"),
        pytest.param(ACCURACY, cohort(100, wrong=50, nodes=1), cohort(1000, wrong=10), "Undecided", id="too few nodes"),
        pytest.param(ACCURACY, cohort(100, wrong=50, labelled=1), cohort(1000, wrong=10), "Undecided", id="feedback from too few of them"),
        pytest.param(ACCURACY, cohort(100, wrong=50), cohort(1000, wrong=10), "Fail", id="many more mistakes"),
        pytest.param(ACCURACY, cohort(1000, wrong=1), cohort(1000), "Pass", id="one mistake against none is no infinite ratio"),
        pytest.param(LATENCY, cohort(1000, slow=11), cohort(1000), "Fail", id="more than 1 % slower than twice the stable p99"),
        pytest.param(LATENCY, cohort(1000, slow=10), cohort(1000), "Pass", id="exactly 1 % slower"),
        pytest.param(LATENCY, cohort(1000), cohort(99), "Undecided", id="a stable quantile of too few requests"),
    ],
)
def test_a_guardrail(rule: Rule, candidate: CohortCounters, stable: CohortCounters, expected: str) -> None:
    judgement = judge([rule], candidate, stable)
    assert judgement.guardrails[1].verdict == expected
    assert judgement.verdict == expected


@pytest.mark.parametrize(
    ("candidate", "stable", "expected"),
    [
        pytest.param(cohort(1, lost=1, members=1), cohort(1, members=3), "Fail", id="the only canary fell silent"),
        pytest.param(cohort(1, lost=1, members=500), cohort(1, members=0), "Pass", id="one plug of five hundred"),
        pytest.param(cohort(1, lost=5, members=10), cohort(1, lost=45, members=90), "Pass", id="the others fell silent as well"),
        pytest.param(cohort(1, lost=0, members=1), cohort(1, lost=9, members=9), "Pass", id="only the others are silent"),
    ],
)
def test_silence(candidate: CohortCounters, stable: CohortCounters, expected: str) -> None:
    assert judge([], candidate, stable).verdict == expected
