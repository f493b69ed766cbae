"""Mistakes among the predictions that people judged of their own accord."""

from __future__ import annotations

from bramble.contracts.counters import Counted
from bramble.guardrails.base import Rule
from bramble.guardrails.feedback import FEEDBACK
from tests.unit.guardrails.cohort import LEVELS, counted


def test_what_people_volunteer_is_counted_and_what_was_labelled_is_not() -> None:
    counts = {"requests": 1000, "right": 40, "wrong": 300, "volunteered_right": 5, "volunteered_wrong": 7}
    assert FEEDBACK.tally(Counted(counts=counts), None) == (7, 12)


def test_it_undoes_a_version_about_which_more_people_complain() -> None:
    seen = counted("feedback", (90, 100), (100, 900), margin=1.5)
    assert FEEDBACK.judge(Rule(metric="feedback", max_ratio=1.5, min_events=100, min_nodes=1), seen, LEVELS).verdict == "Fail"


def test_it_is_never_the_only_reason_to_promote() -> None:
    assert not FEEDBACK.promotes
