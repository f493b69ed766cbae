"""What the reference pages make of a schema."""

import pytest

from bramble.api.schema import Rule, computed, immutable
from docs.generate import Schema, limits, rules


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
