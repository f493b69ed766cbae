"""Nodes that fell silent after they took the candidate."""

from __future__ import annotations

import pytest

from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import CohortCounters
from bramble.guardrails.lost import LOST
from tests.unit.guardrails.cohort import cohort

row = pytest.param


@pytest.mark.parametrize(
    ("candidate", "stable", "expected"),
    [
        row(cohort(lost=1, members=1), cohort(members=3), "Fail", id="the only canary fell silent"),
        row(cohort(lost=1, members=20), cohort(members=0), "Pass", id="one node of twenty is exactly what is allowed"),
        row(cohort(lost=2, members=39), cohort(members=0), "Fail", id="two nodes of thirty-nine are more than that"),
        row(cohort(lost=5, members=25), cohort(lost=10, members=100), "Pass", id="exactly the allowance and 1.5 times the others' share"),
        row(cohort(lost=6, members=25), cohort(lost=10, members=100), "Fail", id="one node more fails"),
        row(cohort(lost=0, members=1), cohort(lost=9, members=9), "Pass", id="only stable nodes are silent"),
        row(cohort(members=0), cohort(members=4), "Pass", id="nobody has the candidate"),
    ],
)
def test_lost(candidate: CohortCounters, stable: CohortCounters, expected: str) -> None:
    assert LOST.always is not None
    verdict = LOST.judge(LOST.always, candidate, stable)
    assert verdict.verdict == expected, verdict.message


def test_the_devices_count_nothing_for_it() -> None:
    assert LOST.counts == LOST.histograms == frozenset()
    assert LOST.events(cohort(1000)) == 0
    assert LOST.always == Rule(metric="lost", max_ratio=1.5, min_events=0, min_nodes=0)
