"""Recall and precision: wrong answers among the labelled ones of one class."""

from __future__ import annotations

import pytest

from bramble.contracts.confusion import Confusion
from bramble.contracts.counters import Counted
from bramble.guardrails.base import CLASS_CHARACTERS, ClassShare, Rule
from bramble.guardrails.precision import PRECISION
from bramble.guardrails.recall import RECALL
from tests.unit.guardrails.cohort import LEVELS, counted

row = pytest.param
SEEN = Counted(
    counts={"requests": 1000, "right": 165, "wrong": 35},
    confusion=Confusion(classes=("ad", "film"), cells=(0, 0, 70, 0, 1, 20, 0, 2, 10, 1, 0, 5, 1, 1, 95)),
)
"""Of 100 ads 20 were answered film and 10 a class that is not counted by itself; 5 of 100 films were answered ad."""


@pytest.mark.parametrize(
    ("metric", "label", "expected"),
    [
        row(RECALL, "ad", (30, 100), id="ads that were answered otherwise, among ads"),
        row(PRECISION, "ad", (5, 75), id="answers ad that are wrong, among answers ad"),
        row(RECALL, "film", (5, 100), id="missed films"),
        row(PRECISION, "film", (20, 115), id="wrong answers film"),
        row(RECALL, "sport", (0, 0), id="a class that the device does not count by itself"),
    ],
)
def test_what_is_counted(metric: ClassShare, label: str, expected: tuple[int, int]) -> None:
    assert metric.tally(SEEN, None, label) == expected


@pytest.mark.parametrize("metric", [RECALL, PRECISION], ids=["recall", "precision"])
def test_a_device_that_says_nothing_of_classes_does_not_say_that_there_were_none(metric: ClassShare) -> None:
    assert metric.tally(Counted(counts={"requests": 1000, "right": 100}), None, "ad") is None


@pytest.mark.parametrize(
    ("candidate", "stable", "expected"),
    [
        row((30, 100), (30, 1000), "Fail", id="ten times as many are missed"),
        row((3, 100), (30, 1000), "Undecided", id="as many are missed, of too few"),
        row((100, 5000), (1000, 50_000), "Pass", id="as many are missed, of many"),
        row((0, 0), (30, 1000), "Undecided", id="none of the class was labelled"),
    ],
)
def test_verdicts(candidate: tuple[int, int], stable: tuple[int, int], expected: str) -> None:
    rule = Rule(metric="recall", label="ad", max_ratio=1.5, min_events=100, min_nodes=1)
    assert RECALL.judge(rule, counted("recall", candidate, stable, margin=1.5, label="ad"), LEVELS).verdict == expected


def test_messages_name_the_class() -> None:
    name = "a class with a very long name, as folders may have"
    rule = Rule(metric="recall", label=name, max_ratio=1.5, min_events=100, min_nodes=1)
    verdict = RECALL.judge(rule, counted("recall", (300, 1000), (30, 1000), margin=1.5, label=name), LEVELS)
    assert verdict.message == (
        f"recall of {name[:CLASS_CHARACTERS]!r}: 30 % of 1000 predictions of this true class were answered otherwise on candidate nodes,"
        " 3 % of 1000 on stable nodes; shown to be above 1.5 × stable"
    )
    assert (verdict.label, verdict.title) == (name, rule.title)
    assert len(verdict.message) < 200
