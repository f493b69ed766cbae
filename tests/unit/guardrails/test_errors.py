"""The share of failed requests. What every metric that devices count for has in common is tested here too."""

from __future__ import annotations

import pytest

from bramble.evidence.verdict import Levels
from bramble.guardrails.base import Rule
from bramble.guardrails.errors import ERRORS
from bramble.guardrails.evidence import GuardEvidence, Tally
from bramble.guardrails.judging import more_good_events
from tests.unit.guardrails.cohort import LEVELS, counted

row = pytest.param
RULE = Rule(metric="errors", max_ratio=2, min_events=400, min_nodes=2)
CEILING = RULE.model_copy(update={"ceiling": 0.02})
LIMIT = RULE.model_copy(update={"limit": 0.2})
BETTER = RULE.model_copy(update={"better": True})
FIRST = RULE.model_copy(update={"absolute": True, "limit": 0.2, "ceiling": 0.02})
BOTH = RULE.model_copy(update={"limit": 0.2, "ceiling": 0.02})


def errors(candidate: tuple[int, int], stable: tuple[int, int], **more: object) -> GuardEvidence:
    return counted("errors", candidate, stable, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "seen", "expected"),
    [
        row(RULE, errors((0, 0), (0, 0)), "Undecided", id="no events prove nothing"),
        row(RULE, errors((1, 1), (0, 1000)), "Undecided", id="one error proves nothing"),
        row(RULE, errors((10, 1000), (90, 9000)), "Undecided", id="as many errors as the stable version's are not many enough to pass"),
        row(RULE, errors((100, 10_000), (900, 90_000)), "Pass", id="ten times as many are"),
        row(RULE, errors((100, 1000), (90, 9000)), "Fail", id="ten times the rate fails"),
        row(RULE, errors((20, 1000), (90, 9000)), "Undecided", id="twice the rate is the margin, which nothing is shown to be above"),
        row(RULE, errors((2000, 100_000), (9000, 900_000)), "Undecided", id="nor are a hundred times as many events"),
        row(RULE, errors((2400, 100_000), (9000, 900_000)), "Fail", id="a little above the margin it fails, with enough events"),
        row(RULE, errors((30, 100), (0, 900)), "Fail", id="it fails before it had as many events as it needs to pass"),
        row(RULE, errors((30, 100), (0, 900), spread=3.0), "Undecided", id="where nodes differ that much it proves nothing"),
        row(RULE, errors((0, 399), (900, 90_000)), "Undecided", id="one event too few to pass"),
        row(CEILING, errors((0, 399), (0, 9000)), "Undecided", id="one event too few to pass by the ceiling"),
        row(CEILING, errors((0, 400), (0, 0)), "Pass", id="below the ceiling it passes with nobody to compare with"),
        row(CEILING, errors((0, 400), (0, 0), nodes=1), "Undecided", id="but not on one node where two are asked for"),
        row(CEILING, errors((8, 400), (0, 0)), "Undecided", id="at the ceiling nothing is shown"),
        row(CEILING, errors((15, 1000), (0, 100)), "Undecided", id="near the ceiling it needs somebody to compare with"),
        row(LIMIT, errors((60, 100), (0, 0)), "Fail", id="above the limit it fails with nobody to compare with"),
        row(LIMIT, errors((600, 1000), (5400, 9000)), "Fail", id="above the limit it fails though the stable version is as bad"),
        row(LIMIT, errors((20, 100), (0, 0)), "Undecided", id="at the limit nothing is shown"),
        row(BOTH, errors((0, 400), (0, 0)), "Pass", id="far below the limit it passes by the ceiling"),
        row(RULE, errors((0, 0), (0, 0), single=7.0), "Fail", id="several nodes by themselves are worse"),
        row(CEILING, errors((2, 900_000), (0, 0), single=7.0), "Fail", id="a Fail wins over a Pass"),
        row(RULE, errors((30, 100), (0, 900), frozen=True), "Fail", id="it is compared with the history of the stable version"),
        row(BETTER, errors((1000, 100_000), (9000, 900_000)), "Undecided", id="like the stable version it is not better"),
        row(BETTER, errors((800, 100_000), (9000, 900_000)), "Pass", id="a fifth fewer errors are better"),
        row(BETTER, errors((8, 1000), (90, 9000)), "Undecided", id="but not with a hundredth of the events"),
        row(BETTER, errors((800, 100_000), (9000, 900_000), spread=0.3), "Undecided", id="nor where nodes differ by more than that"),
        row(BETTER, errors((0, 100_000), (0, 900_000)), "Undecided", id="nothing is better than no error"),
        row(BETTER, errors((0, 399), (9000, 900_000)), "Undecided", id="one event too few to be better"),
        row(BETTER, errors((2400, 100_000), (9000, 900_000)), "Fail", id="what asks for better fails by the margin"),
        row(FIRST, errors((60, 100), (0, 0)), "Fail", id="a first version above the limit fails"),
        row(FIRST, errors((0, 400), (0, 0)), "Pass", id="a first version below the ceiling passes"),
        row(FIRST, errors((20, 400), (0, 0)), "Undecided", id="a first version between the two"),
        row(FIRST.model_copy(update={"ceiling": None}), errors((0, 400), (0, 0)), "Undecided", id="only a ceiling passes a first version"),
        row(FIRST.model_copy(update={"limit": None}), errors((400, 400), (0, 0)), "Undecided", id="only a limit fails a first version"),
    ],
)
def test_errors(rule: Rule, seen: GuardEvidence, expected: str) -> None:
    verdict = ERRORS.judge(rule, seen, LEVELS)
    assert verdict.verdict == expected, verdict.message
    assert len(verdict.message) < 200


def test_a_rarer_error_needs_more_evidence() -> None:
    seen = errors((9, 1000), (9, 9000))
    assert ERRORS.judge(RULE, seen, LEVELS).verdict == "Undecided"
    assert ERRORS.judge(RULE, seen, Levels(false_rollback=0.5, false_promotion=0.05, guardrails=1)).verdict == "Fail"


def test_how_many_of_its_tests_can_undo_a_candidate() -> None:
    assert (ERRORS.tests(RULE), ERRORS.tests(LIMIT), ERRORS.tests(BETTER), ERRORS.tests(FIRST)) == (1, 2, 1, 1)


def test_a_verdict_says_how_far_the_evidence_has_come() -> None:
    verdict = ERRORS.judge(RULE, errors((10, 1000), (90, 9000)), LEVELS)
    figures = verdict.model_dump(by_alias=True)
    assert 0 < figures.pop("toPass") < 1
    assert 0 <= figures.pop("toFail") < 1
    assert figures == {
        "metric": "errors",
        "label": None,
        "verdict": "Undecided",
        "candidateRate": 0.01,
        "stableRate": 0.01,
        "candidateEvents": 1000,
        "stableEvents": 9000,
        "candidateNodes": 3,
        "stableNodes": 3,
        "drift": None,
        "candidateDeviation": None,
        "stableDeviation": None,
        "message": verdict.message,
    }


@pytest.mark.parametrize(
    ("candidate", "stable", "difference"),
    [
        row((100, 1000), (90, 9000), "+9 points (+900 %), worse", id="ten times as many"),
        row((10, 1000), (18, 900), "-1 points (-50 %), better", id="half as many"),
        row((10, 1000), (90, 9000), "none", id="as many"),
        row((10, 1000), (0, 9000), "+1 points, worse", id="nothing to be a share of"),
        row((0, 0), (90, 9000), "", id="nothing counted yet"),
        row((10, 1000), (0, 0), "", id="nothing to compare with"),
    ],
)
def test_the_difference_to_the_version_before(candidate: tuple[int, int], stable: tuple[int, int], difference: str) -> None:
    assert ERRORS.judge(RULE, errors(candidate, stable), LEVELS).difference == difference


@pytest.mark.parametrize(
    ("rule", "seen", "message"),
    [
        row(
            RULE,
            errors((100, 1000), (90, 9000)),
            "errors: 10 % of 1000 requests failed on candidate nodes, 1 % of 9000 on stable nodes; shown to be above 2 × stable",
            id="a Fail by the margin",
        ),
        row(
            LIMIT,
            errors((60, 100), (0, 0), frozen=True),
            "errors: 60 % of 100 requests failed on candidate nodes, 0 % of 0 on stable nodes before; shown to be above the limit of 20 %",
            id="a Fail by the limit",
        ),
        row(
            CEILING,
            errors((0, 400), (0, 0)),
            "errors: 0 % of 400 requests failed on candidate nodes, 0 % of 0 on stable nodes; shown to be below 2 %",
            id="a Pass by the ceiling",
        ),
        row(
            BETTER,
            errors((800, 100_000), (9000, 900_000)),
            "errors: 0.8 % of 100000 requests failed on candidate nodes, 1 % of 900000 on stable nodes; shown to be below stable",
            id="a Pass by being better",
        ),
        row(
            FIRST,
            errors((60, 100), (0, 0)),
            "errors: 60 % of 100 requests failed on candidate nodes; shown to be above the limit of 20 %",
            id="a first version is compared with nobody",
        ),
        row(RULE, errors((1, 300), (1, 900)), "errors: 300 of 400 requests so far on candidate nodes", id="too few events to pass"),
        row(
            RULE,
            errors((1, 400), (1, 900), nodes=1),
            "errors: requests so far on 1 of 2 candidate nodes",
            id="too few nodes to pass",
        ),
    ],
)
def test_messages(rule: Rule, seen: GuardEvidence, message: str) -> None:
    assert ERRORS.judge(rule, seen, LEVELS).message == message


def last(left: float) -> GuardEvidence:
    """In the last step, where so many errors of the stable version's history are left to compare with."""
    return errors((4, 400), (90, 9000), frozen=True, left=left)


@pytest.mark.parametrize(
    ("rule", "seen", "needed"),
    [
        row(RULE, errors((10, 1000), (90, 9000)), "more requests that failed or less than two minutes are needed", id="more errors"),
        row(CEILING, errors((4, 400), (1, 100)), "more requests or 2 minutes are needed", id="the ceiling is reached sooner"),
        row(
            BETTER,
            errors((8, 1000), (90, 9000)),
            "more requests that failed or 18 minutes are needed to show that it is below stable",
            id="as many as such a difference needs",
        ),
        row(
            BETTER,
            errors((10, 1000), (90, 9000)),
            "at these rates no amount of evidence can show that it is below stable, as better asks",
            id="no difference",
        ),
        row(
            FIRST.model_copy(update={"ceiling": None}),
            errors((20, 400), (0, 0)),
            "not shown to be above the limit of 20 %",
            id="a limit only",
        ),
        row(
            RULE.model_copy(update={"max_ratio": 1}),
            counted("errors", (1, 400), (9, 9000), margin=1),
            "no amount of evidence can show that it is fine: set a ceiling, or wider margins",
            id="no margin and no ceiling",
        ),
        row(
            RULE.model_copy(update={"max_ratio": 1, "ceiling": 0.001}),
            counted("errors", (4, 400), (90, 9000), margin=1),
            "at these rates no amount of evidence can show that it is fine: it is above the ceiling, and nodes differ too much",
            id="no margin, and above the ceiling",
        ),
        row(RULE, last(400.0), "more requests that failed or 4 minutes are needed", id="in the last step, at the candidate's pace"),
        row(
            RULE,
            last(2.0),
            "are needed, and what the stable version counted before has 2 left: set a ceiling, or request skip",
            id="the history is used up before",
        ),
        row(CEILING, last(2.0), "more requests or 2 minutes are needed", id="it is, and the ceiling can still be shown"),
    ],
)
def test_what_is_still_needed(rule: Rule, seen: GuardEvidence, needed: str) -> None:
    message = ERRORS.judge(rule, seen, LEVELS).message
    assert message.endswith(needed), message


def test_a_verdict_says_how_much_stable_nodes_drift() -> None:
    drifting, unknown = errors((10, 1000), (90, 9000), drift=0.31), errors((10, 1000), (90, 9000))
    assert [ERRORS.judge(RULE, seen, LEVELS).drift for seen in (drifting, unknown)] == [0.31, None]


def test_each_of_two_ways_to_pass_has_half_of_beta() -> None:
    """A version that is as bad as both margins would otherwise pass nearly twice as often as is allowed."""
    both = CEILING.model_copy(update={"ceiling": 0.002})
    alone = both.model_copy(update={"absolute": True})
    enough, twice = (more_good_events(levels, 0.002, Tally(nodes=3)) for levels in (LEVELS, LEVELS.among(2)))
    outcomes = [
        ERRORS.judge(rule, errors((0, events), (1, 100)), LEVELS).verdict
        for rule, events in ((alone, enough), (both, enough), (both, twice))
    ]
    assert outcomes == ["Pass", "Undecided", "Pass"]
