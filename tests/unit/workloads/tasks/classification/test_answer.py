"""Logits to a label, its confidence and the shared signals."""

from __future__ import annotations

from math import e
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from bramble.contracts.package import ModelDescription, Output
from bramble.contracts.tasks.classification import Classify, Label
from bramble_workloads.processing.errors import DescriptionError, ModelFault
from bramble_workloads.tasks.catalogue import task_of
from bramble_workloads.tasks.classification.answer import Classified, classify
from tests.unit.workloads.models import description

ADS = Classify(labels=("content", "ad"), positive="ad", threshold=0.7)


def row(*values: float) -> Any:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("operation", "logits", "label", "confidence", "score"),
    [
        (Classify(labels=("a", "b")), row(0, 1), "b", e / (1 + e), None),
        (Classify(labels=("a", "b"), temperature=2), row(0, 2), "b", e / (1 + e), None),
        (Classify(labels=("a", "b")), row(1000, 0), "a", 1.0, None),
        (Classify(labels=("a", "b", "c")), row(-1000, -1000, -1000), "a", 1 / 3, None),
        (ADS, row(0, 1), "ad", e / (1 + e), e / (1 + e)),  # 0.731: above its threshold
        (ADS, row(0, 0.5), "content", 0.3775, 0.6225),  # the more probable one, but below its threshold
        (ADS, row(3, 0), "content", 0.9526, 0.0474),
        (Classify(labels=("a", "b", "p"), positive="p", threshold=0.2), row(1, 0, 0), "p", 0.2119, 0.2119),  # from the threshold on
    ],
)
def test_classify(operation: Classify, logits: Any, label: str, confidence: float, score: float | None) -> None:
    answer = classify(operation, logits)
    assert answer.label == label
    assert answer.confidence == pytest.approx(confidence, abs=1e-4)
    assert answer.score == (None if score is None else pytest.approx(score, abs=1e-4))
    assert answer.probabilities.sum() == pytest.approx(1)
    assert answer.confident == (answer.confidence >= operation.confident_at)


def test_the_margin_is_between_the_two_most_probable() -> None:
    answer = classify(Classify(labels=("a", "b", "c")), np.log(row(0.2, 0.5, 0.3)))
    assert answer.margin == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_not_finite_are_a_fault_of_the_model(bad: float) -> None:
    with pytest.raises(ModelFault, match="not finite"):
        classify(Classify(labels=("a", "b")), row(0, bad))


def decode(described: ModelDescription, outputs: dict[str, Any]) -> Classified:
    answer = task_of(described.task).decoder(described)(outputs)
    assert isinstance(answer, Classified)
    return answer


def test_the_logits_are_found_by_their_role() -> None:
    described = description()
    logits = np.zeros((1, 10), np.float32)
    logits[0, 4] = 5
    assert decode(described, {"logits": logits}).label == "4"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"outputs": (Output(name="logits", shape=(1, 9)),)}, "shape \\[1, 9\\] for 10 labels"),
        ({"postprocess": Classify(labels=tuple("0123456789"), positive="ten")}, "'ten', which is not one of the labels"),
    ],
)
def test_a_description_that_contradicts_itself(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DescriptionError, match=says):
        task_of("image-classification").decoder(description(**changes))


@pytest.mark.parametrize(
    ("expected", "difference"),
    [
        pytest.param({"label": "b", "confidence": 0.75}, "", id="the same"),
        pytest.param({"label": "b", "confidence": 0.75005}, "", id="a difference of rounding"),
        pytest.param({"label": "b", "confidence": 0.7502}, "b at 0.750000, expected b at 0.750200", id="another confidence"),
        pytest.param({"label": "a", "confidence": 0.75}, "b at 0.750000, expected a at 0.750000", id="another label"),
    ],
)
def test_the_difference_from_an_expected_answer(expected: dict[str, Any], difference: str) -> None:
    assert answered().difference(expected) == difference


def answered(positive: str | None = None) -> Classified:
    return classify(Classify(labels=("a", "b"), positive=positive, threshold=0.1), np.log(row(0.25, 0.75)))


def test_an_answer_agrees_with_its_own_truth_alone() -> None:
    assert answered().truth() == Label(label="b")
    assert answered().agrees(Label(label="b"))
    assert not answered().agrees(Label(label="a"))


def test_the_tensors_of_an_answer_are_those_that_the_task_announces() -> None:
    tensors = answered().tensors()
    announced = task_of("image-classification").answer_tensors
    assert [(name, array.shape) for name, array in tensors.items()] == [(each.name, each.shape) for each in announced]
    assert tensors["label"].tolist() == ["b"]
    assert tensors["confidence"].tolist() == [0.75]
    assert tensors["confidence"].dtype == np.float32


def test_the_score_of_the_positive_label_is_a_signal_where_there_is_one() -> None:
    assert answered().signals() == pytest.approx({"confidence": 0.75, "margin": 0.5})
    assert answered("a").signals() == pytest.approx({"confidence": 0.25, "margin": 0.5, "score": 0.25})


def test_a_label_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="the labels a occur more than once"):
        Classify(labels=("a", "b", "a"))
