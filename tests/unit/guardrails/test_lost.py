"""Nodes that fell silent after they took the candidate."""

from __future__ import annotations

import pytest

from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import GuardEvidence, Tally
from bramble.guardrails.lost import LOST
from tests.unit.guardrails.cohort import LEVELS

row = pytest.param


def nodes(lost: int, members: int) -> Tally:
    return Tally(bad=lost, events=members, nodes=members)


@pytest.mark.parametrize(
    ("candidate", "stable", "expected"),
    [
        row(nodes(1, 1), nodes(0, 3), "Fail", id="the only canary fell silent"),
        row(nodes(1, 20), nodes(0, 0), "Pass", id="one node of twenty is exactly what is allowed"),
        row(nodes(2, 39), nodes(0, 0), "Fail", id="two nodes of thirty-nine are more than that"),
        row(nodes(5, 25), nodes(10, 100), "Pass", id="exactly the allowance and 1.5 times the others' share"),
        row(nodes(6, 25), nodes(10, 100), "Fail", id="one node more fails"),
        row(nodes(0, 1), nodes(9, 9), "Pass", id="only stable nodes are silent"),
        row(nodes(0, 0), nodes(0, 4), "Pass", id="nobody has the candidate"),
    ],
)
def test_lost(candidate: Tally, stable: Tally, expected: str) -> None:
    assert LOST.always == Rule(metric="lost", max_ratio=1.5, min_events=0, min_nodes=0)
    verdict = LOST.judge(LOST.always, GuardEvidence(metric="lost", candidate=candidate, stable=stable), LEVELS)
    assert verdict.verdict == expected, verdict.message
