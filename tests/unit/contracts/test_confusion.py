"""Labelled answers by true and answered class."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bramble.contracts.confusion import MAX_CLASS_CHARACTERS, MAX_CLASSES, Confusion, add_confusions, confusion_of, counted_classes
from bramble.contracts.counters import MAX_COUNT, Counted, Counters
from bramble.contracts.tasks.classification import Classify

row = pytest.param
PACKAGE = f"sha256:{'1' * 64}"
LONG = "x" * (MAX_CLASS_CHARACTERS + 1)
SEEN = Confusion(classes=("ad", "film", "news"), cells=(0, 0, 70, 0, 1, 20, 0, 3, 10, 1, 0, 5, 1, 1, 95, 3, 3, 7))
"""100 ads, of which 20 were answered film and 10 something else; 100 films, 5 of them answered ad; 7 of other classes."""


def names(count: int) -> tuple[str, ...]:
    return tuple(f"class-{number}" for number in range(count))


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        row((), (), id="no class"),
        row(names(64), names(64), id="as many as there may be"),
        row(names(65), names(63), id="one more: the others need a place of their own"),
        row(names(5000), names(63), id="thousands"),
        row(("a", LONG, "b"), ("a", "b"), id="a class that no guardrail can name is one of the others"),
        row((*names(63), LONG), names(63), id="63 and such a class"),
        row((*names(64), LONG), names(63), id="64 and such a class"),
        row(("", "cat"), ("cat",), id="a class without a name is one of the others"),
        row((*names(64), ""), names(63), id="64 and a class without a name"),
    ],
)
def test_which_classes_are_counted_by_themselves(classes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert counted_classes(classes) == expected


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=140), min_size=2, max_size=70, unique=True))
def test_a_report_can_have_the_classes_of_any_package(labels: list[str]) -> None:
    classes = counted_classes(Classify(labels=tuple(labels)).classes)
    others = len(classes)
    cells = () if others == MAX_CLASSES else (others, others, 1)
    assert Confusion.model_validate_json(Confusion.model_construct(classes=classes, cells=cells).model_dump_json()).classes == classes


@pytest.mark.parametrize(
    ("name", "of_true", "of_answered"),
    [
        row("ad", (30, 100), (5, 75), id="a class that is missed more often than it is wrong"),
        row("film", (5, 100), (20, 115), id="and one that takes its place"),
        row("news", (0, 0), (0, 0), id="a class that nothing was counted of"),
        row("sport", (0, 0), (0, 0), id="a class that is not counted by itself"),
    ],
)
def test_wrong_answers_of_a_class(name: str, of_true: tuple[int, int], of_answered: tuple[int, int]) -> None:
    assert (SEEN.of_true(name), SEEN.of_answered(name)) == (of_true, of_answered)
    assert SEEN.total == 207


def test_confusions_add_up_by_the_names_of_classes() -> None:
    other = Confusion(classes=("film", "ad"), cells=(0, 1, 3, 1, 1, 2, 2, 0, 4))
    both = add_confusions([SEEN, other])
    assert (both.of_true("ad"), both.of_true("film")) == ((30, 102), (8, 103))
    assert (both.of_answered("ad"), both.of_answered("film")) == ((8, 80), (24, 119))
    assert both.total == SEEN.total + other.total
    assert add_confusions([SEEN]) is SEEN


def test_what_a_device_makes_is_what_the_operator_reads() -> None:
    made = confusion_of(names(64), (((true, answered), 2**30) for true in range(64) for answered in range(64)))
    document = made.model_dump_json(by_alias=True)
    assert Confusion.model_validate_json(document) == made
    assert len(document) < 80_000, "a full matrix of a busy device"


def test_the_devices_of_a_fleet_share_the_names_of_their_classes() -> None:
    first, second = (Confusion.model_validate_json(SEEN.model_dump_json()) for _ in range(2))
    assert first.classes is second.classes


def full(count: int, **changes: Any) -> dict[str, Any]:
    return {"classes": list(names(count)), "cells": [], **changes}


@pytest.mark.parametrize(
    "document",
    [
        row(full(65), id="more classes"),
        row(full(1, classes=[""]), id="a class without a name"),
        row(full(1, classes=[LONG]), id="a class with a longer name"),
        row(full(2, cells=[0, 0]), id="half a cell"),
        row(full(2, cells=[0, 3, 1]), id="a class behind the others"),
        row(full(64, cells=[64, 0, 1]), id="others beside 64 classes"),
        row(full(2, cells=[0, -1, 1]), id="a class before the first"),
        row(full(2, cells=[0, 1, -1]), id="fewer than none"),
        row(full(2, cells=[0, 0, 1] * (MAX_CLASSES**2 + 1)), id="more cells than there are pairs"),
        row(full(2, cells=[0, 0, MAX_COUNT, 1, 1, 1]), id="more answers than one process gives"),
    ],
)
def test_what_no_device_counts_is_refused(document: dict[str, Any]) -> None:
    counters = {"namespace": "n", "model": "m", "package": PACKAGE, "cohort": "stable", "attempt": 1}
    assert Counters.model_validate({**counters, "confusion": full(2, cells=[2, 2, 1])}).confusion is not None
    with pytest.raises(ValidationError):
        Counters.model_validate({**counters, "confusion": document})


def test_the_answers_of_a_confusion_are_events() -> None:
    assert Counted(counts={"requests": 5}, confusion=SEEN).most_events == 207
