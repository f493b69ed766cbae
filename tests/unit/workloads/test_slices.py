"""What the header of a version says of the slices of its test split."""

from __future__ import annotations

import pytest

from bramble_workloads.snapshot.slices import MOST_BYTES, MOST_COLUMNS, MOST_VALUES, Slices


def counts(*samples: dict[str, str]) -> dict[str, dict[str, int] | None] | None:
    slices = Slices()
    for meta in samples:
        slices.add(meta)
    return slices.counts()


def test_a_sample_without_the_column_has_the_empty_value() -> None:
    found = counts({"hand": "right", "sex": "f"}, {"hand": "left"}, {"hand": "left"})
    assert found == {"hand": {"left": 2, "right": 1}, "sex": {"": 2, "f": 1}}
    assert counts({}, {}) == counts() == {}


@pytest.mark.parametrize("values", [MOST_VALUES, MOST_VALUES + 1])
def test_a_column_with_more_values_than_there_is_room_for_is_only_named(values: int) -> None:
    found = counts(*({"recording": str(number), "hand": "left"} for number in range(values)))
    assert found is not None
    assert (found["recording"] is None) == (values > MOST_VALUES)
    assert found["hand"] == {"left": values}


@pytest.mark.parametrize(("character", "size"), [("x", 1), ("\u4e2d", 3), ("\x01", 6)], ids=["ASCII", "Chinese", "a control character"])
@pytest.mark.parametrize("more", [False, True])
def test_values_and_names_of_many_bytes_are_left_out(character: str, size: int, more: bool) -> None:
    text = character * (MOST_BYTES // size + more)
    assert counts({"text": text}) == {"text": None if more else {text: 1}}
    assert (counts({text: "y"}) is None) == more


@pytest.mark.parametrize("columns", [MOST_COLUMNS, MOST_COLUMNS + 1])
def test_of_more_columns_than_there_is_room_for_nothing_is_said(columns: int) -> None:
    assert (counts({str(number): "x" for number in range(columns)}) is None) == (columns > MOST_COLUMNS)
