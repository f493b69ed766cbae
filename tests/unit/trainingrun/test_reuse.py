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
        case("nothing is filed", pinned(None)),
        case("what is filed cannot be read", pinned(stored(problem="of another version"))),
        case("what is filed is another step's", pinned(stored(evaluate_result()))),
        case("an attempt was made: somebody asked to train again", pinned(stored(), attempt=1)),
    ],
)
def test_trains(seen: Any) -> None:
    assert reuse(seen, NOW) is None


def test_takes_what_is_filed() -> None:
    memory = remembered(reuse(pinned(stored()), NOW))
    assert memory["package"]["digest"] == PACKAGE
    assert memory.get("attempt", 0) == 0
