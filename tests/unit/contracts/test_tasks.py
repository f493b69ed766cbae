"""What the tuple of tasks decides in documents."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import pytest
from pydantic import ValidationError

from bramble.contracts import package
from bramble.contracts.base import Document, OneModelOf, removed_fields
from bramble.contracts.canonical import canonical_json
from bramble.contracts.images import Decode
from bramble.contracts.jobs.evaluate import EvaluateResult
from bramble.contracts.manifest import Sample, read_sample
from bramble.contracts.package import ModelDescription, Package
from bramble.contracts.tasks.base import Input, Postprocess
from bramble.contracts.tasks.catalogue import contract_of, headline_of
from bramble.contracts.tasks.classification import CLASSIFICATION, ClassificationScores, Label
from tests.unit.workloads.models import build_package, description, digits_graph


class Shape(Document):
    kind: str


class Circle(Shape):
    kind: Literal["circle"] = "circle"
    radius: int = 1


class Square(Shape):
    kind: Literal["square"] = "square"
    edge: int = 2


class Drawing(Document):
    _removed = removed_fields("frame")

    shape: Annotated[Shape, OneModelOf((Circle, Square), "kind")]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        pytest.param({"kind": "square", "edge": 5}, Square(edge=5), id="the field names the model"),
        pytest.param({"radius": 3}, Circle(radius=3), id="without the field the first model is meant"),
        pytest.param(Square(), Square(), id="a model is taken as it is"),
    ],
)
def test_one_model_of_several_is_read(shape: Any, expected: Shape) -> None:
    drawing = Drawing.model_validate({"shape": shape})
    assert drawing.shape == expected
    assert Drawing.model_validate_json(canonical_json(drawing)) == drawing, "nothing of the model is lost on the wire"


def test_an_unknown_model_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(ValidationError, match="kind must be one of circle, square"):
        Drawing.model_validate({"shape": {"kind": "star"}})


def test_fields_that_were_removed_are_ignored_and_unknown_ones_are_not() -> None:
    assert Drawing.model_validate({"shape": {}, "frame": "gold"}) == Drawing(shape=Circle())
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Drawing.model_validate({"shape": {}, "frames": "gold"})


class Foreign(Input):
    kind: Literal["foreign"] = "foreign"
    media_types: tuple[str, ...] = ()


class Guess(Postprocess):
    kind: Literal["guess"] = "guess"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"input": Foreign}, "input.kind 'image' is not an input of the task", id="an input of another task"),
        pytest.param({"postprocess": Guess}, "postprocess.kind 'classify' does not belong", id="a postprocessing of another task"),
        pytest.param({"operations": (Decode,)}, "has no operation normalize", id="an operation of another task"),
        pytest.param({"roles": ("boxes",)}, "has no role logits; it has boxes", id="a role of another task"),
    ],
)
def test_a_description_holds_only_what_its_task_has(changes: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = description().model_dump(mode="json", by_alias=True)
    monkeypatch.setattr(package, "contract_of", lambda _: replace(CLASSIFICATION, **changes))
    with pytest.raises(ValidationError, match=says):
        ModelDescription.model_validate(document)


def test_a_description_of_another_task_is_told_everything_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    document = description().model_dump(mode="json", by_alias=True)
    other = replace(CLASSIFICATION, input=Foreign, postprocess=Guess, operations=(Decode,), roles=("boxes",))
    monkeypatch.setattr(package, "contract_of", lambda _: other)
    with pytest.raises(ValidationError, match=r"input\.kind .*; postprocess\.kind .*; preprocess: .*; outputs: "):
        ModelDescription.model_validate(document)


def test_a_golden_case_holds_an_answer_of_the_task() -> None:
    made, _ = build_package(digits_graph())
    document = made.model_dump(mode="json", by_alias=True)
    document["golden"]["cases"][0]["decoded"] = {"boxes": []}
    with pytest.raises(ValidationError, match="label"):
        Package.model_validate(document)


def test_an_annotation_stands_beside_the_other_fields_of_a_sample() -> None:
    name = f"sha256:{'0' * 64}"
    sample = Sample(id=name, bytes=1, extension=".png", split="val", annotation=Label(label="cat"), group=name, origin="tape")
    line = canonical_json(sample)
    assert b'"label":"cat"' in line
    assert b"annotation" not in line
    assert read_sample(line, Label) == sample


def test_a_sample_without_the_annotation_of_the_task_is_refused() -> None:
    with pytest.raises(ValidationError, match="label"):
        read_sample('{"id": "x"}', Label)


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        pytest.param({"f1": 0.5, "accuracy": 0.9}, "accuracy", id="the first metric of the task"),
        pytest.param({"f1": 0.5}, None, id="the headline is not among them"),
        pytest.param({"accuracy": 0.9, "depth": 3}, None, id="metrics of no task that there is"),
        pytest.param({}, None, id="no metrics"),
    ],
)
def test_the_headline_of_some_metrics(metrics: dict[str, float], expected: str | None) -> None:
    assert headline_of(metrics) == expected


def test_a_task_that_there_is_not() -> None:
    with pytest.raises(KeyError, match="no task 'juggling': there are image-classification"):
        contract_of("juggling")


def test_a_result_of_version_0_1_is_read() -> None:
    figures = {"samples": 10, "accuracy": 0.9, "precision": 0.8, "recall": 0.7, "f1": 0.6}
    flat = {"seconds": 1, "overall": figures, "perClass": {"a": figures}, "confusion": [[9, 1], [0, 0]], "labels": ["a", "b"]}
    slices = {"hand": {"left": {"overall": figures, "perClass": {}, "confusion": [[1]]}}}
    result = EvaluateResult.model_validate({"step": "evaluate", **flat, "slices": slices, "gates": []})
    assert result.scores.overall.metrics == {"accuracy": 0.9, "precision": 0.8, "recall": 0.7, "f1": 0.6}
    assert result.slices["hand"]["left"].overall.samples == 10
    assert isinstance(result.scores, ClassificationScores)
    assert result.scores.cells == ((0, 0, 9), (0, 1, 1))
    assert EvaluateResult.model_validate_json(canonical_json(result)) == result
