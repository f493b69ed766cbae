"""The parts of the API that the tasks' contracts decide: the built-in trainer's fields, `maxDrop`, and the metrics that gates may name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ConfigDict, GetJsonSchemaHandler, TypeAdapter, ValidationError, model_validator
from pydantic_core import CoreSchema

from bramble.api.schema import VALIDATIONS, JsonSchema, Rule, Share, SpecPart, quoted
from bramble.contracts.hyperparameters import describe
from bramble.contracts.tasks.base import Builtin as BuiltinContract
from bramble.contracts.tasks.base import BuiltinTrainer
from bramble.contracts.tasks.catalogue import METRIC_NAMES, TASKS, BuiltinTaskName

BUILTINS: dict[str, BuiltinContract] = {task.name: task.builtin for task in TASKS if task.builtin is not None}
TASK_LINES = " ".join(f"`{task.name}`: {task.meaning}." for task in TASKS)
"""The tasks, for descriptions of fields."""


class Builtin(SpecPart):
    """A training program that comes with Bramble. It evaluates, exports and checkpoints by itself."""

    model_config = ConfigDict(extra="allow")

    task: BuiltinTaskName
    """What the model is to do; the dataset's task."""

    @model_validator(mode="after")
    def _fits_its_task(self) -> Builtin:
        known = BUILTINS[self.task].trainer.model_json_schema()["properties"]
        if unknown := sorted(set(self.model_extra or ()) - set(known)):
            raise ValueError(f"{', '.join(unknown)}: the task {self.task} has no such field; it has {', '.join(known)}")
        self.job_trainer()
        return self

    def job_trainer(self) -> BuiltinTrainer:
        """The trainer as the job is told it, with the defaults of its task."""
        return BUILTINS[self.task].trainer.model_validate({"task": self.task, **(self.model_extra or {})})

    def check(self, hyperparameters: dict[str, Any]) -> None:
        """Validates hyperparameters of this trainer.

        Raises:
            ValueError: a name that the task does not know, or a value that is out of bounds; the message lists names or bounds.
        """
        model = BUILTINS[self.task].hyperparameters
        try:
            model.model_validate(hyperparameters)
        except ValidationError as error:
            raise ValueError(describe(error, model)) from error

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        merged = merge({task: builtin.trainer.model_json_schema() for task, builtin in BUILTINS.items()}, "task")
        schema["properties"] |= merged["properties"]
        schema["required"] = [*schema["required"], *merged["required"]]
        if merged[VALIDATIONS]:
            schema[VALIDATIONS] = merged[VALIDATIONS]
        return schema


class MaxDrop(SpecPart):
    """How much worse than the fp32 package a variant may score, as a difference: 0.01 lets 0.97 become 0.96."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, Share]

    @model_validator(mode="after")
    def _known(self) -> MaxDrop:
        if unknown := sorted(set(self.model_extra or ()) - set(METRIC_NAMES)):
            raise ValueError(f"{', '.join(unknown)}: no such metric; there are {', '.join(METRIC_NAMES)}")
        return self

    def by_metric(self) -> dict[str, str]:
        """The limits by metric, as jobs are told them."""
        return dict(self.model_extra or {})

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        share = TypeAdapter(Share).json_schema()
        schema["properties"] = {name: {**share, "description": describe_metric(name)} for name in METRIC_NAMES}
        return schema


def describe_metric(name: str) -> str:
    """What a metric measures, in each task that has it."""
    meanings = {task.name: metric.meaning for task in TASKS for metric in task.metrics if metric.name == name}
    return _by_task({task: f"{meaning[0].upper()}{meaning[1:]}." for task, meaning in meanings.items()})


def describe_metrics() -> str:
    """All metrics of all tasks."""
    return _by_task({task.name: " ".join(f"`{metric.name}`: {metric.meaning}." for metric in task.metrics) for task in TASKS})


def _by_task(texts: Mapping[str, str]) -> str:
    """One text where all tasks say the same, else each task's own."""
    distinct = set(texts.values())
    return distinct.pop() if len(distinct) == 1 else " ".join(f"For {task}: {text}" for task, text in texts.items())


def gate_rules() -> tuple[Rule, ...]:
    """For the spec of a TrainingRun: its gates name metrics of the built-in trainer's task.

    The task of a container trainer is known only to the jobs, which check the gates again.
    """
    rules = []
    for task in TASKS:
        if task.builtin is not None and set(task.metric_names) != set(METRIC_NAMES):
            applies = f"has(self.trainer.builtin) && self.trainer.builtin.task == {quoted(task.name)} && has(self.evaluation.gates)"
            rules.append(
                Rule(
                    f"!({applies}) || self.evaluation.gates.all(gate, gate.metric in {_listed(task.metric_names)})",
                    f"a gate of the task {task.name} may name {', '.join(task.metric_names)}: name one of them",
                )
            )
    return tuple(rules)


def merge(schemas: Mapping[str, JsonSchema], by: str) -> JsonSchema:
    """One schema for the fields of several models of which the field `by` names one.

    Fields of the same name become one field. What the models do not share becomes a CEL rule: a field that only some of them have, a
    field that only some of them need, an enum that only some of them set. Other differences, such as bounds, are left to the models,
    which the operator validates. A default that not every model has stands in the description, because the API server would write it
    into objects of the other models as well.

    Args:
        schemas: JSON schemas of models with plain fields, by the value of `by`.
        by: the field that names the model; it is left out of the result.

    Returns:
        `properties`, `required` and `x-kubernetes-validations`.
    """
    names = dict.fromkeys(name for schema in schemas.values() for name in schema["properties"] if name != by)
    properties, required, rules = {}, [], []
    for name in names:
        fields = {model: _plain(schema["properties"][name]) for model, schema in schemas.items() if name in schema["properties"]}
        needing = [model for model in fields if name in schemas[model].get("required", ())]
        properties[name] = _merged(fields, everywhere=len(fields) == len(schemas))
        if len(needing) == len(schemas):
            required.append(name)
        rules += [rule.as_json() for rule in _rules(name, by, fields, needing, everywhere=len(fields) == len(schemas))]
    return {"properties": properties, "required": required, VALIDATIONS: rules}


def _plain(field: JsonSchema) -> JsonSchema:
    """A field's schema without its title, and with an enum where pydantic writes a constant."""
    plain = {key: value for key, value in field.items() if key not in {"title", "const"}}
    return {**plain, "enum": [field["const"]]} if "const" in field else plain


def _merged(fields: Mapping[str, JsonSchema], *, everywhere: bool) -> JsonSchema:
    """The parts of a field's schema that are the same in every model that has it, and the descriptions of all."""
    first, *others = fields.values()
    merged = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    merged["description"] = _by_task({model: field.get("description", "") for model, field in fields.items()})
    if "type" not in merged:
        raise TypeError(f"tasks give the same field different types, or a field that is no plain value: {fields}")
    if "default" in first and not (everywhere and "default" in merged):
        merged.pop("default", None)
        defaults = [f"{field['default']} for {model}" for model, field in fields.items() if "default" in field]
        merged["description"] = f"{merged['description']} Default: {', '.join(defaults)}.".strip()
    return merged


def _rules(name: str, by: str, fields: Mapping[str, JsonSchema], needing: list[str], *, everywhere: bool) -> Iterator[Rule]:
    if not everywhere:
        yield Rule(
            f"!has(self.{name}) || self.{by} in {_listed(fields)}",
            f"{name} has an effect only with {by}: {' or '.join(fields)}; remove {name}",
        )
    if needing and not (everywhere and len(needing) == len(fields)):
        yield Rule(f"!(self.{by} in {_listed(needing)}) || has(self.{name})", f"{name} is needed with {by}: {' or '.join(needing)}; set it")
    enums = {model: field["enum"] for model, field in fields.items() if "enum" in field}
    if len({tuple(enums.get(model, ())) for model in fields}) > 1:
        for model, values in enums.items():
            yield Rule(
                f"self.{by} != {quoted(model)} || !has(self.{name}) || self.{name} in {_listed(values)}",
                f"with {by}: {model}, {name} is one of {', '.join(values)}",
            )


def _listed(values: Iterable[str]) -> str:
    """A CEL list of texts."""
    return f"[{', '.join(quoted(value) for value in values)}]"
