"""Precision, recall, F1 and accuracy from counts of true and answered labels."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from bramble.contracts.canonical import canonical_json
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


def test_the_confusion_matrix_holds_what_is_not_zero() -> None:
    found = confusion(("ad", "ad"), ("ad", "jingle"), ("ad", "ad"), ("jingle", "content")).scores()
    assert (found.labels, found.cells) == (LABELS, ((0, 0, 2), (0, 2, 1), (2, 1, 1)))


def test_the_size_is_not_less_than_what_the_scores_take_in_a_result() -> None:
    labels = [f'"klasse {number}\u00e4"' for number in range(300)]
    made = Confusion(labels)
    random = np.random.default_rng(4)
    for true, answered in random.integers(0, 300, (5000, 2)):
        made.count(labels[true], labels[answered])
    actual = len(canonical_json(made.slice_scores())) - len(canonical_json(made.summary()))
    assert actual <= made.size < 2 * actual


def test_scorers_of_thousands_of_labels_share_what_they_know_of_them() -> None:
    """There is one for each value of a column."""
    labels = tuple(f"class {number}" for number in range(5000))
    first = Confusion(labels)
    tracemalloc.start()
    try:
        more = [Confusion(labels) for _ in range(100)]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2**20
    more[0].count("class 1", "class 2")
    assert more[0].overall() is not None
    assert first.overall() is None


def test_of_too_many_cells_the_largest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_workloads.tasks.classification.scoring.MOST_CELLS", 2)
    found = confusion(("ad", "ad"), ("ad", "jingle"), ("jingle", "jingle"), ("jingle", "jingle"), ("content", "ad")).scores()
    assert found.cells == ((0, 0, 1), (2, 2, 2))
    assert found.overall.samples == 5


@pytest.mark.parametrize(
    ("name", "pairs", "expected"),
    [
        ("two labels", [("ad", "content")] * 5 + [("content", "ad")] * 5, "ad as content, content as ad would make 10 of 10 answers right"),
        (
            "three labels in a circle",
            [("ad", "content")] * 3 + [("content", "jingle")] * 3 + [("jingle", "ad")] * 3 + [("ad", "ad")],
            "would make 9 of 10 answers right instead of 1",
        ),
        ("a good model", [("ad", "ad")] * 9 + [("ad", "content")], None),
        ("a model that always answers the same", [("ad", "ad")] * 5 + [("content", "ad")] * 5, None),
        ("no assignment is good", [("ad", "content")] * 5 + [("content", "ad")] * 5 + [("ad", "ad"), ("content", "content")], None),
        ("no samples", [], None),
    ],
)
def test_exchanged_labels_are_remarked(name: str, pairs: list[tuple[str, str]], expected: str | None) -> None:
    remark = confusion(*pairs).remark()
    assert (remark is None) == (expected is None), name
    assert (expected or "") in (remark or "")
