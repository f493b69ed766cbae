"""What the reference pages make of a schema."""

import pytest
from pydantic import BaseModel

from bramble.api.rollout import Status
from bramble.api.schema import Rule, computed, immutable
from bramble.contracts.tasks.catalogue import TASKS
from bramble.guardrails.base import Verdict
from bramble.kinds.rollout.analysis import Judgement
from bramble.kinds.rollout.decision import Decision
from docs.generate import Schema, field_rows, inlined, limits, rules


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        pytest.param({"minimum": 1, "maximum": 256}, "minimum `1`, maximum `256`", id="bounds that may be reached"),
        pytest.param(
            {"minimum": 0, "exclusiveMinimum": True, "maximum": 1, "exclusiveMaximum": True}, "above `0`, below `1`", id="of a CRD"
        ),
        pytest.param({"exclusiveMinimum": 0, "maximum": 60}, "maximum `60`, above `0`", id="of the chart"),
        pytest.param({"format": "int64"}, "", id="the size of an integer"),
    ],
)
def test_limits_are_said_as_they_are_enforced(schema: Schema, said: str) -> None:
    assert limits(schema) == said


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        pytest.param(Rule("true", "set exactly one of them"), "set exactly one of them", id="a message that is the same for every object"),
        pytest.param(
            computed("true", 'a share such as "10%%" is wanted, a model\'s; this is "%s"', "self.replace('.', '-')"),
            'a share such as "10%" is wanted, a model\'s; this is "…"',
            id="a message that shows a value",
        ),
        pytest.param(
            immutable(("task",), ("engine",), "make another"),
            "`task`, `engine` cannot be changed, set later or unset once the object is created: make another",
            id="a message that names the fields that changed",
        ),
    ],
)
def test_rules_are_sentences(rule: Rule, said: str) -> None:
    assert list(rules({"x-kubernetes-validations": [rule.as_json()]}, "spec")) == [("`spec`", said)]


def names_of(model: type[BaseModel]) -> set[str]:
    """The fields of a model as they are stored, without those that are not and the name of the schema."""
    return {field.alias or name for name, field in model.model_fields.items() if not field.exclude and name != "schema_"}


@pytest.mark.parametrize(
    ("field", "models"),
    [("decision", (Decision, Judgement)), ("analysis", (Judgement, Verdict))],
)
def test_what_the_schema_leaves_open_has_its_fields_in_the_description(field: str, models: tuple[type[BaseModel], ...]) -> None:
    described = Status.model_fields[field].description or ""
    assert [name for model in models for name in sorted(names_of(model)) if f"`{name}`" not in described] == []


def test_every_hyperparameter_has_a_meaning_and_no_reference_is_left() -> None:
    for task in TASKS:
        if task.builtin is None:
            continue
        schema = task.builtin.hyperparameters.model_json_schema()
        rows = list(field_rows(inlined(schema, schema), ""))
        assert {f"`{name}`" for name in names_of(task.builtin.hyperparameters)} < {where for where, _, _, _ in rows}
        assert [where for where, kind, _, meaning in rows if not meaning or kind == "any"] == []
