"""A model description without the fields that it does not have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from bramble.contracts.package import ModelDescription
from bramble_workloads.packaging.make import _without_unknown_fields
from tests.unit.workloads.models import description


@pytest.mark.parametrize(
    ("where", "is_found"),
    [
        pytest.param(("more",), True, id="of the description"),
        pytest.param(("input", "tensor", "more"), True, id="of a part"),
        pytest.param(("preprocess", 0, "more"), True, id="of a union member in a list"),
        pytest.param(("postprocess", "classify"), False, id="named like the union member that has it"),
        pytest.param(("preprocess", 0, "decode"), False, id="named like the union member in a list that has it"),
    ],
)
def test_unknown_fields_are_left_out_where_they_are_found(where: tuple[Any, ...], is_found: bool) -> None:
    document = json.loads(description().model_dump_json(by_alias=True))
    place: Any = document
    for part in where[:-1]:
        place = place[part]
    place[where[-1]] = 1
    content = json.dumps(document)
    with pytest.raises(ValidationError) as raised:
        ModelDescription.model_validate_json(content)
    found = _without_unknown_fields(content.encode(), raised.value)
    assert found == (description() if is_found else None)
