"""Which of several graphs is taken, given what each answered right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bramble_workloads.convert.choice import best


def case(name: str, right: dict[str, str], taken: str) -> Any:
    return pytest.param(right, taken, id=name)


@pytest.mark.parametrize(
    ("right", "taken"),
    [
        case("the only one", {"a": "0"}, "a"),
        case("equal ones: the first", {"a": "10" * 10, "b": "01" * 10}, "a"),
        case("one of four more: chance", {"a": "1110", "b": "1111"}, "a"),
        case("two of four more: chance", {"a": "1100", "b": "1111"}, "a"),
        case("four of four more: not chance", {"a": "0000", "b": "1111"}, "b"),
        case("twelve more where they differ in twelve: not chance", {"a": "1" * 88 + "0" * 12, "b": "1" * 100}, "b"),
        case(
            "twelve more where they differ in 88: chance", {"a": "1" * 38 + "0" * 50 + "1" * 12, "b": "0" * 38 + "1" * 50 + "1" * 12}, "a"
        ),
        case("the second is as good as the best", {"a": "0" * 20, "b": "1" * 19 + "0", "c": "1" * 20}, "b"),
        case("all wrong", {"a": "000", "b": "000"}, "a"),
    ],
)
def test_the_first_that_is_not_worse_than_the_best_apart_from_chance(right: dict[str, str], taken: str) -> None:
    assert best({name: np.array([each == "1" for each in row]) for name, row in right.items()}) == taken
