"""Nodes that fell silent or rebooted: what their losses show."""

from __future__ import annotations

import pytest

from bramble.evidence.nodes import look
from bramble.evidence.ratio import RatioTest
from bramble.evidence.verdict import Levels
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import Away, GuardEvidence, Tally
from bramble.guardrails.judging import more_good_events
from bramble.guardrails.lost import LOST
from tests.unit.guardrails.cohort import LEVELS

row = pytest.param
RULE = Rule(metric="lost", max_ratio=1.5, ceiling=0.000694, min_events=0, min_nodes=0)
DAY = 1440
"""Minutes."""


def losses(
    candidate: int, stable: int = 0, *, share: float = 0.1, minutes: float = 60.0, away: Away | None = None, spread: float = 0.0
) -> GuardEvidence:
    """Losses of 10 canaries and of 90 stable nodes.

    Args:
        share: the canaries' part of the expected losses.
        minutes: for how long each node was watched.
    """
    return GuardEvidence(
        metric="lost",
        candidate=Tally(bad=candidate, events=round(10 * minutes), nodes=10),
        stable=Tally(bad=stable, events=round(90 * minutes), nodes=90),
        ratio=look(RatioTest(1.5), (), candidate, candidate + stable, share),
        share=share,
        away=away,
        spread=spread,
    )


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        row(GuardEvidence(metric="lost"), "Pass", id="nobody has the candidate"),
        row(losses(0), "Pass", id="no node is ever lost"),
        row(losses(0, 9), "Pass", id="only stable nodes are lost"),
        row(losses(1), "Pass", id="a single silence"),
        row(losses(2), "Pass", id="two of ten canaries"),
        row(losses(3), "Undecided", id="three of them hold the step"),
        row(losses(4), "Fail", id="four of them undo the version"),
        row(losses(4, 18), "Pass", id="stable nodes are lost half as often: nothing is shown"),
        row(losses(4, spread=0.7), "Undecided", id="nodes that change by themselves explain as much"),
        row(losses(3, minutes=2 * DAY), "Pass", id="three losses in twenty days of nodes are less than one a day"),
        row(losses(5, minutes=30 * DAY), "Fail", id="rare losses are too many all the same beside stable nodes without any"),
        row(losses(9, share=1.0), "Pass", id="there is nothing to compare with"),
    ],
)
def test_what_losses_show(evidence: GuardEvidence, expected: str) -> None:
    verdict = LOST.judge(RULE, evidence, LEVELS)
    assert verdict.verdict == expected, verdict
    assert (verdict.to_pass == 1) == (expected == "Pass")


@pytest.mark.parametrize(
    ("away", "expected"),
    [
        row(Away(candidate=1, canaries=1, others=3), "Pass", id="the only canary"),
        row(Away(candidate=2, canaries=2, others=3), "Fail", id="both canaries"),
        row(Away(candidate=4, canaries=10, others=90), "Pass", id="four of ten"),
        row(Away(candidate=5, canaries=10, others=90), "Fail", id="half of them"),
        row(Away(candidate=5, canaries=10, stable=9, others=90), "Fail", id="a tenth of the stable nodes as well, a fifth of that share"),
        row(Away(candidate=5, canaries=10, stable=10, others=90), "Pass", id="more than a fifth of that share of the stable nodes"),
        row(Away(candidate=50, canaries=100), "Fail", id="half of the fleet in the last step"),
        row(Away(candidate=0, canaries=0), "Pass", id="nobody has the candidate"),
    ],
)
def test_half_of_the_canaries_need_no_statistics(away: Away, expected: str) -> None:
    """Whatever the error rates are."""
    levels = Levels(false_rollback=1e-12, false_promotion=1e-12, guardrails=16)
    assert LOST.judge(RULE, losses(0, away=away), levels).verdict == expected


def test_its_rule_and_its_part_of_the_error_rate() -> None:
    assert LOST.always == RULE
    assert LOST.tests(RULE) == 1


@pytest.mark.parametrize(
    ("evidence", "message"),
    [
        row(
            losses(1, 2, minutes=1.0),
            "1 loss in 10 minutes of 10 candidate nodes, 2 losses in 90 minutes of 90 stable nodes",
            id="in minutes",
        ),
        row(
            losses(3),
            "3 losses in 10 hours of 10 candidate nodes, 0 losses in 90 hours of 90 stable nodes; so many losses hold the step until the"
            " nodes were watched for 272 hours more without one",
            id="what is missing",
        ),
        row(
            losses(4),
            "4 losses in 10 hours of 10 candidate nodes, 0 losses in 90 hours of 90 stable nodes; shown to be above 1.5 × stable",
            id="why it is undone",
        ),
        row(losses(2, away=Away(candidate=2, canaries=3, others=9)), "2 of 3 candidate nodes are away, and 0 of 9 others", id="half"),
    ],
)
def test_messages(evidence: GuardEvidence, message: str) -> None:
    assert LOST.judge(RULE, evidence, LEVELS).message == f"lost: {message}"


def test_what_is_said_to_be_missing_is_enough() -> None:
    seen = losses(3)
    more = more_good_events(LEVELS.among(2), 0.000694, seen.candidate)
    longer = [seen.model_copy(update={"candidate": Tally(bad=3, events=600 + each, nodes=10)}) for each in (more - 1, more)]
    assert [LOST.judge(RULE, each, LEVELS).verdict for each in longer] == ["Undecided", "Pass"]
