"""Precision, recall, F1 and accuracy from counts of true and answered labels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from bramble_workloads.tasks.classification.scoring import Confusion

LABELS = ("ad", "content", "jingle")


def confusion(*pairs: tuple[str, str]) -> Confusion:
    made = Confusion(LABELS)
    for true, answered in pairs:
        made.count(true, answered)
    return made


@pytest.mark.parametrize(
    ("name", "pairs", "expected"),
    [
        ("all right, and a class without samples is no part of the mean", [("ad", "ad"), ("content", "content")], (1, 1, 1, 1)),
        (
            "a class that is never answered has precision 0",
            [("ad", "ad"), ("content", "ad")],
            (Fraction(1, 2), Fraction(1, 4), Fraction(1, 2), Fraction(1, 3)),
        ),
        (
            "answers of a class without samples cost the class that they should have been",
            [("ad", "ad"), ("ad", "jingle")],
            (Fraction(1, 2), 1, Fraction(1, 2), Fraction(2, 3)),
        ),
        ("all wrong", [("ad", "content"), ("content", "ad")], (0, 0, 0, 0)),
    ],
)
def test_overall_scores(name: str, pairs: list[tuple[str, str]], expected: tuple[Fraction, ...]) -> None:
    assert confusion(*pairs).overall() == expected, name


def test_without_samples_there_is_no_score() -> None:
    assert confusion().overall() is None
    with pytest.raises(ValueError, match="no samples"):
        confusion().scores()


def test_a_class_without_samples_has_no_scores() -> None:
    found = confusion(("ad", "ad"), ("ad", "content"), ("content", "content")).scores().per_class
    assert set(found) == {"ad", "content"}
    assert (found["ad"].samples, found["ad"].accuracy, found["ad"].recall, found["ad"].precision) == (2, 0.5, 0.5, 1.0)


def test_scores_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    true = random.integers(0, 3, 500)
    answered = np.where(random.random(500) < 0.7, true, random.integers(0, 3, 500))
    made = confusion(*((LABELS[a], LABELS[b]) for a, b in zip(true, answered, strict=True)))
    expected = precision_recall_fscore_support(true, answered, average="macro")
    found = made.scores().overall
    assert found.accuracy == pytest.approx(accuracy_score(true, answered))
    assert (found.precision, found.recall, found.f1) == pytest.approx(expected[:3])
    classes = precision_recall_fscore_support(true, answered)
    assert [each.f1 for each in made.scores().per_class.values()] == pytest.approx(list(classes[2]))
