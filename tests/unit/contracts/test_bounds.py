"""A wrong list or dictionary costs no more than its first faults."""

from __future__ import annotations

from typing import Annotated, Any, get_args

import pytest
from pydantic import BaseModel, Field, ValidationError

from bramble.contracts.bounds import BLOCK, Entries, FirstFaults
from bramble.contracts.jobs.files import AnyJob
from bramble.contracts.jobs.package import PackagingJob
from tests.unit.contracts.test_untrusted import MODELS, SMALL_MODELS


class Document(BaseModel):
    numbers: Entries[int] = Field(default_factory=dict)
    few: Annotated[dict[str, int], Field(max_length=3), FirstFaults()] = Field(default_factory=dict)
    nested: Entries[Entries[int]] = Field(default_factory=dict)


def numbered(count: int, value: object) -> dict[str, Any]:
    return {f"{number:06}": value for number in range(count)}


@pytest.mark.parametrize("count", [0, 1, BLOCK, BLOCK + 1, 10 * BLOCK + 7])
def test_a_right_dictionary_is_read_as_before(count: int) -> None:
    found = Document.model_validate({"numbers": numbered(count, "5"), "nested": {"a": numbered(count, 5)}})
    assert found.numbers == found.nested["a"] == numbered(count, 5)
    assert list(found.numbers) == sorted(found.numbers)


@pytest.mark.parametrize(
    ("field", "value", "most"),
    [
        pytest.param("numbers", numbered(100_000, "x"), BLOCK, id="many wrong values"),
        pytest.param("numbers", {**numbered(100_000, 1), "last": "x"}, 1, id="only the last is wrong"),
        pytest.param("few", numbered(100_000, "x"), 4, id="wrong values of a short one"),
        pytest.param("few", numbered(100_000, 1), 1, id="too many right values of a short one"),
        pytest.param("few", numbered(4, 1), 1, id="one too many"),
        pytest.param("nested", {"a": numbered(100_000, "x")}, BLOCK, id="a dictionary in another"),
        pytest.param("numbers", [1], 1, id="a list"),
    ],
)
def test_of_a_wrong_dictionary_the_first_faults_are_told(field: str, value: object, most: int) -> None:
    with pytest.raises(ValidationError) as raised:
        Document.model_validate({field: value})
    assert 1 <= raised.value.error_count() <= most


def unbounded(schema: Any, place: str, wrapped: bool, seen: set[type], found: set[str]) -> None:
    """Collects the lists and dictionaries of a pydantic schema of which every wrong item would be told."""
    if isinstance(schema, list):
        for each in schema:
            unbounded(each, place, wrapped, seen, found)
        return
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    if kind == "model":
        if schema["cls"] in seen:
            return
        seen.add(schema["cls"])
        place = schema["cls"].__name__
    if kind == "dict" and not wrapped and schema.get("values_schema", {}).get("type") != "any":
        found.add(place)
    varies = kind in ("list", "set", "frozenset") or (kind == "tuple" and schema.get("variadic_item_index") is not None)
    if varies and not schema.get("fail_fast"):
        found.add(place)
    for name, part in schema.items():
        if name == "fields" and isinstance(part, dict):
            for field, of_field in part.items():
                unbounded(of_field, f"{place.split('.')[0]}.{field}", False, seen, found)
        elif name not in ("metadata", "serialization", "default"):
            unbounded(part, place, kind == "function-wrap" and name == "schema", seen, found)


LARGE_MODELS = [each for each in (*MODELS, *get_args(get_args(AnyJob)[0])) if each not in (*SMALL_MODELS, PackagingJob)]
"""A packaging job has parts of a package."""


@pytest.mark.parametrize("model", LARGE_MODELS, ids=lambda model: model.__name__)
def test_every_list_and_dictionary_of_a_large_document_is_told_by_its_first_faults(model: type[BaseModel]) -> None:
    """A small document has too few items to matter, and all of its faults are told."""
    found = set[str]()
    unbounded(model.__pydantic_core_schema__, model.__name__, False, set(), found)
    assert not found


@pytest.mark.parametrize("model", SMALL_MODELS)
def test_that_check_finds_them(model: type[BaseModel]) -> None:
    found = set[str]()
    unbounded(model.__pydantic_core_schema__, model.__name__, False, set(), found)
    assert found
