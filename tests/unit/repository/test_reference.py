"""What the reference pages make of a schema."""

import pytest

from docs.generate import Schema, limits


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
