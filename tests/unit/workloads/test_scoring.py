"""Scores, gates and drops, by table."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from bramble.contracts.jobs.evaluate import Gate
from bramble.contracts.manifest import Sample
from bramble_workloads.errors import SpecError
from bramble_workloads.evaluate.drop import drop_of, missed, require_max_drop
from bramble_workloads.evaluate.gates import judge, require_gates, sentence
from bramble_workloads.evaluate.scoring import Confusion, scores_by_class, scores_of
from bramble_workloads.evaluate.table import Answered, Table

LABELS = ("ad", "content", "jingle")


def confusion(*pairs: tuple[str, str]) -> Confusion:
    made = Confusion(LABELS)
    for true, answered in pairs:
        made.add(true, answered)
    return made


def sample(label: str, number: int = 0, **meta: str) -> Sample:
    digest = f"sha256:{number:064x}"
    return Sample(id=digest, bytes=1, extension=".png", split="test", label=label, group=digest, origin="tape", meta=meta)


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
    assert scores_by_class(confusion()) == {}
    with pytest.raises(ValueError, match="no samples"):
        scores_of(confusion())


def test_a_class_without_samples_has_no_scores() -> None:
    found = scores_by_class(confusion(("ad", "ad"), ("ad", "content"), ("content", "content")))
    assert set(found) == {"ad", "content"}
    assert (found["ad"].samples, found["ad"].accuracy, found["ad"].recall, found["ad"].precision) == (2, 0.5, 0.5, 1.0)


def test_scores_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    true = random.integers(0, 3, 500)
    answered = np.where(random.random(500) < 0.7, true, random.integers(0, 3, 500))
    made = confusion(*((LABELS[a], LABELS[b]) for a, b in zip(true, answered, strict=True)))
    expected = precision_recall_fscore_support(true, answered, average="macro")
    found = scores_of(made)
    assert found.accuracy == pytest.approx(accuracy_score(true, answered))
    assert (found.precision, found.recall, found.f1) == pytest.approx(expected[:3])
    classes = precision_recall_fscore_support(true, answered)
    assert [each.f1 for each in scores_by_class(made).values()] == pytest.approx(list(classes[2]))


def table() -> Table:
    """Nine of ten right: eight ads on channel 1, one wrong; two on channel 2, of which one has no channel stated."""
    answered = [Answered(sample("ad", number, channel="1"), "ad" if number else "content") for number in range(8)]
    answered += [Answered(sample("content", 8, channel="2"), "content"), Answered(sample("content", 9), "content")]
    return Table(answered, LABELS)


def gate(metric: str, least: str, **fields: str) -> Gate:
    return Gate.model_validate({"metric": metric, "min": least, **fields})


@pytest.mark.parametrize(
    ("name", "asked", "value", "passed"),
    [
        ("exactly the limit passes: compared as decimals", gate("accuracy", "0.9"), 0.9, True),
        ("a hair above the value does not pass", gate("accuracy", "0.9000000000000000001"), 0.9, False),
        ("a class by its label", gate("recall", "0.875", label="ad"), 0.875, True),
        ("accuracy of a class is the share of its samples that is right", gate("accuracy", "0.88", label="ad"), 0.875, False),
        ("a slice", gate("accuracy", "1", slice="channel=2"), 1.0, True),
        ("a slice with an equals sign in no value", gate("accuracy", "0.1", slice="channel=2=x"), None, False),
        ("samples without the column are the slice of the empty value", gate("accuracy", "1.0", slice="channel="), 1.0, True),
        ("a class within a slice", gate("recall", "0.8", label="ad", slice="channel=1"), 0.875, True),
        ("a class that has no samples in the slice does not pass", gate("recall", "0", label="ad", slice="channel=2"), None, False),
        ("a class without samples does not pass", gate("recall", "0", label="jingle"), None, False),
        ("a label that the model does not have does not pass", gate("recall", "0", label="news"), None, False),
        ("a column that no sample has does not pass", gate("accuracy", "0", slice="hour=3"), None, False),
    ],
)
def test_gates(name: str, asked: Gate, value: float | None, passed: bool) -> None:
    outcome = judge(asked, table())
    assert (outcome.value, outcome.passed) == (value, passed), name


def test_a_gate_is_told_with_its_figures() -> None:
    assert sentence(judge(gate("recall", "0.9", label="ad", slice="channel=1"), table())) == (
        "gate missed: recall of ad where channel=1 is 0.875; at least 0.9 is wanted"
    )
    assert "has no sample to be shown on" in sentence(judge(gate("recall", "0.9", label="jingle"), table()))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (gate("accuracy", "high"), "the min of gate accuracy is 'high': write a decimal"),
        (gate("accuracy", "NaN"), "write a decimal"),
        (gate("accuracy", "Infinity"), "write a decimal"),
        (gate("accuracy", "0.9", slice="channel"), "is 'channel': write column=value"),
    ],
)
def test_a_gate_that_cannot_be_judged_is_a_spec_error(asked: Gate, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        require_gates([asked])


def test_slices() -> None:
    found = table().slices("channel")
    assert {value: part.overall.samples for value, part in found.items()} == {"": 1, "1": 8, "2": 1}
    assert table().slices("hour") == {}


def test_a_column_of_too_many_values_is_a_spec_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_workloads.evaluate.table.MOST_CELLS", 11)
    with pytest.raises(SpecError, match="'channel' has 3 values, each with 3 classes: name a column with fewer values"):
        table().slices("channel")


@pytest.mark.parametrize(
    ("name", "found", "allowed", "expected"),
    [
        ("no limit", {"accuracy": 0.1}, {}, []),
        ("exactly the limit, whatever the bits of the difference", {"accuracy": 0.96}, {"accuracy": "0.01"}, []),
        (
            "more than the limit",
            {"accuracy": 0.931},
            {"accuracy": "0.010"},
            ["accuracy 0.931 is 0.039 below fp32 (0.970); maxDrop allows 0.010"],
        ),
        ("better than fp32", {"accuracy": 0.99}, {"accuracy": "0"}, []),
        ("not measured", {}, {"accuracy": "0.5"}, ["accuracy was not measured; maxDrop allows 0.5"]),
    ],
)
def test_drops(name: str, found: dict[str, float], allowed: dict[str, str], expected: list[str]) -> None:
    assert missed({"accuracy": 0.97, "f1": 0.9}, found, allowed) == expected, name


def test_a_drop_is_reference_minus_found() -> None:
    assert drop_of({"accuracy": 0.97, "f1": 0.9}, {"accuracy": 0.96, "f1": 0.95, "recall": 1.0}) == {"accuracy": 0.01, "f1": -0.05}


@pytest.mark.parametrize(("allowed", "says"), [({"mAP": "0.1"}, "names 'mAP'"), ({"f1": "a bit"}, "maxDrop.f1 is 'a bit'")])
def test_a_limit_that_cannot_be_judged_is_a_spec_error(allowed: dict[str, str], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        require_max_drop(allowed)
