"""Durations, quantities, and what a model becomes in a CRD."""

from __future__ import annotations

import decimal
from typing import Annotated, Any

import pytest

from bramble.api.catalogue import KINDS
from bramble.api.crd import SchemaError, structural
from bramble.api.objects import Kind
from bramble.api.schema import SET, Decimal, SpecPart, StatusPart, amount, computed, exactly_one, immutable, seconds


@pytest.mark.parametrize(("text", "value"), [("10m", 600), ("1h30m", 5400), ("50ms", 0.05), ("1m500ms", 60.5), ("0s", 0)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "10", "1d", "1.5h", "-1m", "m", "1 h"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), (2, 2), ("500m", 0.5), ("1Ki", 1024), ("280Mi", 280 * 2**20), ("1.5Gi", 3 * 2**29), ("2k", 2000),
     ("1e3", 1000), (".5", 0.5), ("700m", "0.7"), ("100n", "1e-7"), ("1e-30", "1e-9"), ("5.", 5), ("8Ei", 2**63)],
)  # fmt: skip
def test_quantities(text: int | str, value: float | str) -> None:
    assert amount(text) == decimal.Decimal(value)


@pytest.mark.parametrize("text", ["", "lots", "5.5.5", "1KB", "1 Gi", "Mi", "1ei"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        amount(text)


@pytest.mark.parametrize("text", ["1e400", "-1e400", f"1e{10**30}", "9" * 400, "9Ei", 2**64])
def test_quantities_beyond_all_measure(text: int | str) -> None:
    with pytest.raises(ValueError, match="more than Kubernetes can count; write at most 8Ei"):
        amount(text)


class Inner(SpecPart):
    """An inner part."""

    size: int = 3
    """How large."""


class Outer(SpecPart):
    """The whole."""

    RULES = (exactly_one("one", "many"),)

    one: Inner | None = None
    """One of them."""
    many: Annotated[tuple[Inner, ...], SET] = ()
    """Several."""
    limit: Decimal | None = None
    """A bound."""


def test_a_model_becomes_a_structural_schema() -> None:
    schema = structural(Outer)
    one, many = schema["properties"]["one"], schema["properties"]["many"]
    assert (one["description"], one["properties"]["size"]["default"]) == ("One of them.", 3)
    assert "default" not in many["items"]["properties"]["size"], "a default inside a list item shows as drift"
    assert many["items"]["properties"]["size"]["description"] == "How large. Default: 3."
    assert many["x-kubernetes-list-type"] == "set"
    assert "pattern" not in schema["properties"]["limit"], "its words are said by a rule"
    assert [rule["message"] for rule in schema["x-kubernetes-validations"]] == ["set exactly one of one, many"]
    assert not any(name in str(schema) for name in ("$ref", "anyOf", "title", "null"))


def test_a_status_bounds_nothing() -> None:
    class Told(StatusPart):
        """What is told."""

        state: str
        """A word."""

    assert structural(Told, status=True) == {
        "type": "object",
        "description": "What is told.",
        "properties": {"state": {"type": "string", "description": "A word."}},
    }


def test_a_status_tells_what_is_remembered_and_no_defaults() -> None:
    class Item(StatusPart):
        """An item."""

        state: str = ""
        """A word."""

    class Told(StatusPart):
        """What is told."""

        items: Annotated[tuple[Item, ...], SET] = ()
        """All of them. Memory."""

    items = structural(Told, status=True)["properties"]["items"]
    assert items["description"] == "All of them. The operator stores this only here and continues from it."
    assert items["items"]["properties"]["state"]["description"] == "A word."


def test_an_empty_default_in_a_list_is_not_told() -> None:
    class Source(SpecPart):
        """A source."""

        prefix: str = ""
        """Where; empty for everywhere."""

    class Whole(SpecPart):
        """The whole."""

        sources: Annotated[tuple[Source, ...], SET] = ()
        """Several."""

    assert structural(Whole)["properties"]["sources"]["items"]["properties"]["prefix"]["description"] == "Where; empty for everywhere."


def test_a_field_of_two_types_is_refused() -> None:
    class Loose(SpecPart):
        """Anything."""

        value: int | bool = 1
        """Who knows."""

    with pytest.raises(SchemaError, match="one type"):
        structural(Loose)


def test_rules_show_values_by_format() -> None:
    rule: Any = computed("self.a > 1", "it's %s", "self.a").as_json()
    assert rule == {"rule": "self.a > 1", "messageExpression": "'it\\'s %s'.format([self.a])"}


def test_fixed_compares_optional_fields_on_both_sides() -> None:
    rule = immutable(("a",), ("b",), "make another").as_json()
    assert rule["rule"] == "(self.a == oldSelf.a) && (has(self.b) == has(oldSelf.b) && (!has(self.b) || self.b == oldSelf.b))"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource.kind)
def test_no_column_shows_only_the_first_of_several_items(kind: Kind[Any, Any]) -> None:
    """The API server shows one result of a column's path."""
    assert [column.name for column in kind.columns if "[*]" in column.path] == []
