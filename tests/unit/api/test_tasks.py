"""The built-in trainer's fields and the limits on drops, put together from the tasks' contracts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError

from bramble.api import tasks
from bramble.api.crd import structural
from bramble.api.schema import VALIDATIONS, JsonSchema
from bramble.api.tasks import Builtin, MaxDrop, gate_rules, merge
from bramble.contracts.tasks.base import BuiltinTrainer, Metric
from bramble.contracts.tasks.classification import CLASSIFICATION, ClassifierTrainer


class Detector(BuiltinTrainer):
    task: Literal["detect"] = "detect"
    architecture: Literal["yolox-nano", "ssd"]
    """One of the detectors."""
    image_size: int = Field(416, ge=8, le=1024)
    """Edge of the picture."""
    anchors: Literal["few"]
    """How many boxes for each cell."""


class Texts(BuiltinTrainer):
    task: Literal["texts"] = "texts"
    architecture: str = Field(min_length=1, max_length=64)
    """A network."""
    buckets: int = 1000
    """Of the hash."""


MODELS: dict[str, type[BuiltinTrainer]] = {"classify": ClassifierTrainer, "detect": Detector, "texts": Texts}


def merged(*names: str) -> JsonSchema:
    return merge({name: MODELS[name].model_json_schema() for name in names}, "task")


def rules(*names: str) -> list[str]:
    return [rule["rule"] for rule in merged(*names)[VALIDATIONS]]


def test_one_task_has_its_own_schema_and_no_rules() -> None:
    found = merged("classify")
    assert list(found["properties"]) == ["architecture", "imageSize", "channels"]
    assert found["required"] == ["architecture"]
    assert found[VALIDATIONS] == []
    assert found["properties"]["imageSize"]["default"] == 32


def test_a_field_of_some_tasks_is_refused_with_the_others() -> None:
    assert "!has(self.channels) || self.task in ['classify']" in rules("classify", "detect")
    assert "!has(self.imageSize) || self.task in ['classify', 'detect']" in rules("classify", "detect", "texts")


def test_a_field_that_some_tasks_need_is_wanted_with_them_alone() -> None:
    assert merged("classify", "detect")["required"] == ["architecture"]
    assert "!(self.task in ['detect']) || has(self.anchors)" in rules("classify", "detect")
    assert not any("has(self.architecture)" in rule and rule.startswith("!(") for rule in rules("classify", "detect"))


def test_an_enum_of_one_task_is_no_enum_of_the_others() -> None:
    found = merged("classify", "detect")
    assert found["properties"]["architecture"].get("enum") is None
    assert "self.task != 'detect' || !has(self.architecture) || self.architecture in ['yolox-nano', 'ssd']" in rules("classify", "detect")


def test_a_field_that_tasks_describe_differently_is_described_for_each() -> None:
    assert (
        merged("detect", "texts")["properties"]["architecture"]["description"] == "For detect: One of the detectors. For texts: A network."
    )


def test_an_enum_of_one_value_is_an_enum() -> None:
    assert merged("classify", "detect")["properties"]["anchors"]["enum"] == ["few"]


def test_bounds_that_differ_are_left_to_the_tasks() -> None:
    architecture = merged("classify", "detect")["properties"]["architecture"]
    assert set(architecture) == {"type", "description"}
    assert merged("classify", "texts")["properties"]["architecture"]["maxLength"] == 64


@pytest.mark.parametrize(
    ("names", "field", "default", "says"),
    [
        pytest.param(("classify", "detect"), "imageSize", None, "Default: 32 for classify, 416 for detect.", id="the tasks differ"),
        pytest.param(("classify", "texts"), "imageSize", None, "Default: 32 for classify.", id="one task has no such field"),
        pytest.param(("classify",), "imageSize", 32, "", id="all tasks agree"),
    ],
)
def test_the_api_server_sets_only_defaults_that_are_right_for_every_task(
    names: tuple[str, ...], field: str, default: int | None, says: str
) -> None:
    found = merged(*names)["properties"][field]
    assert found.get("default") == default
    assert found["description"].endswith(says or "brought to.")
    assert found["type"] == "integer"


def test_one_field_of_two_types_is_a_fault_of_the_contracts() -> None:
    schemas: dict[str, JsonSchema] = {
        "a": {"properties": {"depth": {"type": "integer"}}},
        "b": {"properties": {"depth": {"type": "string"}}},
    }
    with pytest.raises(TypeError, match="different types"):
        merge(schemas, "task")


TRAINER = {"task": "image-classification", "architecture": "small-cnn"}


def test_the_job_gets_the_settings_with_the_defaults_of_the_task() -> None:
    assert Builtin.model_validate({**TRAINER, "imageSize": 16}).job_trainer() == ClassifierTrainer(architecture="small-cnn", image_size=16)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"depth": 3}, "depth: the task image-classification has no such field; it has task,", id="an unknown field"),
        pytest.param({"imageSize": 4}, "greater than or equal to 8", id="a value that is out of bounds"),
        pytest.param({"architecture": None}, "valid string", id="a required field that is empty"),
        pytest.param({"task": "juggling"}, "Input should be 'image-classification'", id="a task that there is not"),
    ],
)
def test_a_trainer_that_its_task_does_not_know_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Builtin.model_validate({**TRAINER, **changes})


def test_hyperparameters_are_checked_by_the_task() -> None:
    with pytest.raises(ValueError, match="epoch is not known; there are epochs"):
        Builtin.model_validate(TRAINER).check({"epoch": 3})
    Builtin.model_validate(TRAINER).check({"augment": {"flip": True}})


def test_limits_on_drops_are_of_known_metrics() -> None:
    assert MaxDrop.model_validate({"f1": "0.01"}).by_metric() == {"f1": "0.01"}
    assert set(structural(MaxDrop)["properties"]) == set(CLASSIFICATION.metric_names)
    with pytest.raises(ValidationError, match="depth: no such metric; there are accuracy"):
        MaxDrop.model_validate({"depth": "0.01"})
    with pytest.raises(ValidationError, match="String should match pattern"):
        MaxDrop.model_validate({"f1": "a bit"})


def test_gates_name_metrics_of_the_trainers_task(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gate_rules() == (), "one task has all metrics that there are"
    other = replace(CLASSIFICATION, name="detect", metrics=(Metric("map50", "mean average precision"),))
    monkeypatch.setattr(tasks, "TASKS", (CLASSIFICATION, other))
    monkeypatch.setattr(tasks, "METRIC_NAMES", (*CLASSIFICATION.metric_names, *other.metric_names))
    first, second = gate_rules()
    assert "self.trainer.builtin.task == 'image-classification'" in first.rule
    assert first.rule.endswith("gate.metric in ['accuracy', 'precision', 'recall', 'f1'])")
    assert second.message == "a gate of the task detect may name map50: name one of them"
