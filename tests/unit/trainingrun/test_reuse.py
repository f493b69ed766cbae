"""A result of the same inputs is taken from the store."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.trainingrun.policies.reuse import reuse
from tests.unit.trainingrun.seen import NOW, PACKAGE, PIN, case, evaluate_result, observed, remembered, stored


def pinned(filed: Any, **status: Any) -> Any:
    return observed(status={"dataset": PIN, **status}, filed=filed)


@pytest.mark.parametrize(
    "seen",
    [
        case("no result is filed", pinned(None)),
        case("the filed result cannot be read", pinned(stored(problem="of another version"))),
        case("the filed result is of another step", pinned(stored(evaluate_result()))),
        case("an attempt was made, so somebody asked to train again", pinned(stored(), attempt=1)),
    ],
)
def test_the_run_trains(seen: Any) -> None:
    assert reuse(seen, NOW) is None


def test_the_filed_result_is_taken() -> None:
    memory = remembered(reuse(pinned(stored()), NOW))
    assert memory["package"]["digest"] == PACKAGE
    assert memory.get("attempt", 0) == 0
