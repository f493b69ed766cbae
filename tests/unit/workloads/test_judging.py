"""Gates, slices and drops, by table."""

from __future__ import annotations

import numpy as np
import pytest

from bramble.contracts.canonical import text_bytes
from bramble.contracts.jobs.evaluate import Gate, GateOutcome
from bramble.contracts.manifest import Sample
from bramble.contracts.package import Output
from bramble.contracts.tasks.classification import CLASSIFICATION, ClassificationScores, Classify, Label
from bramble_workloads.errors import SpecError
from bramble_workloads.evaluate.drop import drop_of, missed, require_max_drop
from bramble_workloads.evaluate.gates import judge, require_gates, sentence
from bramble_workloads.evaluate.table import MOST_VALUE_BYTES, Answered, Table
from bramble_workloads.tasks.classification.answer import Classified
from tests.unit.workloads.models import description

LABELS = ("ad", "content", "jingle")


DESCRIPTION = description(outputs=(Output(name="logits", shape=(1, 3)),), postprocess=Classify(labels=LABELS))


def answer(label: str) -> Classified:
    return Classified(label, 1.0, np.zeros(3), None, 1.0, confident=True)


def sample(label: str, number: int = 0, **meta: str) -> Sample:
    digest = f"sha256:{number:064x}"
    return Sample(id=digest, bytes=1, extension=".png", split="test", annotation=Label(label=label), group=digest, origin="tape", meta=meta)


def table() -> Table:
    """Nine of ten right: eight ads on channel 1, one wrong; two on channel 2, of which one has no channel stated."""
    answered = [Answered(sample("ad", number, channel="1"), answer("ad" if number else "content")) for number in range(8)]
    answered += [Answered(sample("content", 8, channel="2"), answer("content")), Answered(sample("content", 9), answer("content"))]
    return Table(answered, DESCRIPTION)


def judged(asked: Gate) -> GateOutcome:
    return judge(asked, table().figure(asked))


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
    outcome = judged(asked)
    assert (outcome.value, outcome.passed) == (value, passed), name


def test_the_sentence_of_a_gate_has_its_figures() -> None:
    assert sentence(judged(gate("recall", "0.9", label="ad", slice="channel=1"))) == (
        "gate missed: recall of ad where channel=1 is 0.875; the gate is 0.9"
    )
    assert "cannot be measured, because there is no sample" in sentence(judged(gate("recall", "0.9", label="jingle")))


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
        require_gates([asked], CLASSIFICATION)


def test_slices() -> None:
    found = table().slices(["channel", "hour"])
    assert {value: part.overall.samples for value, part in found.scores["channel"].items()} == {"": 1, "1": 8, "2": 1}
    assert (found.scores["hour"], found.unknown) == ({}, ("hour",))
    assert found.left_out == ()


@pytest.mark.parametrize(("room", "left_out"), [(492, ()), (491, ("all but the overall scores of the slices of channel",))])
def test_details_of_slices_that_would_be_too_large_are_left_out(
    room: int, left_out: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bramble_workloads.evaluate.table.MOST_BYTES", room)
    found = table().slices(["channel"])
    parts = [part for part in found.scores["channel"].values() if isinstance(part, ClassificationScores)]
    assert [part.overall.samples for part in parts] == [1, 8, 1]
    assert [bool(part.per_class) for part in parts] == [not left_out] * 3
    assert found.left_out == left_out


def test_of_many_values_those_with_the_most_samples_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble_workloads.evaluate.table.MOST_VALUES", 2)
    found = table().slices(["channel"])
    assert list(found.scores["channel"]) == ["", "1"]
    assert found.left_out == ("1 of 3 values of channel, those with the fewest samples",)


@pytest.mark.parametrize("text", ["x" * 257, "\u4e2d" * 86, "\x01" * 43], ids=["ASCII", "Chinese", "control characters"])
def test_a_long_value_is_scored_under_its_beginning_and_a_digest(text: str) -> None:
    answered = [Answered(sample("ad", 1, text=value), answer("ad")) for value in (text, f"{text}2", "short")]
    found = Table(answered, DESCRIPTION).slices(["text"])
    assert found.left_out == ()
    names = [name for name in found.scores["text"] if name != "short"]
    assert len(names) == 2, "values with one beginning stay apart"
    for name in names:
        beginning, _, digest = name.partition("… (")
        assert text.startswith(beginning)
        assert len(digest) == 9
        assert MOST_VALUE_BYTES - 6 < text_bytes(name) <= MOST_VALUE_BYTES
        assert found.scores["text"][name].overall.samples == 1


def test_a_value_that_fits_is_scored_under_its_own_name() -> None:
    text = "\u4e2d" * 85
    assert list(Table([Answered(sample("ad", 1, text=text), answer("ad"))], DESCRIPTION).slices(["text"]).scores["text"]) == [text]


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
    assert missed({"accuracy": 0.97, "f1": 0.9}, found, allowed, CLASSIFICATION) == expected, name


def test_a_drop_is_reference_minus_found() -> None:
    assert drop_of({"accuracy": 0.97, "f1": 0.9}, {"accuracy": 0.96, "f1": 0.95, "recall": 1.0}, CLASSIFICATION) == {
        "accuracy": 0.01,
        "f1": -0.05,
    }


@pytest.mark.parametrize(("allowed", "says"), [({"mAP": "0.1"}, "names 'mAP'"), ({"f1": "a bit"}, "maxDrop.f1 is 'a bit'")])
def test_a_limit_that_cannot_be_judged_is_a_spec_error(allowed: dict[str, str], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        require_max_drop(allowed, CLASSIFICATION)
