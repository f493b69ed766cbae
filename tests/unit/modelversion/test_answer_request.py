from __future__ import annotations

from typing import Any

import pytest

from bramble.api.modelversion import Conversion
from bramble.kinds.modelversion.policies.answer_request import answer_request
from tests.unit.modelversion.seen import CONVERTED, LINEAGE, NOW, RPI4, case, observed, remembered, work

RETRY = '{"id": "1", "action": "retry"}'


def asked(text: str = RETRY, **status: Any) -> Any:
    return observed(metadata={"annotations": {"bramble.dev/request": text}}, status={"lineage": LINEAGE, **status})


def test_without_a_request_there_is_no_opinion() -> None:
    assert answer_request(observed(), NOW) is None


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        case("the annotation is not JSON", asked("now"), "not JSON"),
        case("the action is unknown", asked('{"id": "1", "action": "promote"}'), "use retry"),
        case(
            "nothing has failed",
            asked(conversion=CONVERTED, benchmarks=(work(state="Measured"),)),
            "nor a benchmark has failed",
        ),
        case(
            "the conversion is under way",
            asked(conversion=Conversion(attempt=1, state="Running")),
            "nor a benchmark has failed",
        ),
    ],
)
def test_refused(seen: Any, why: str) -> None:
    answered = remembered(answer_request(seen, NOW))["lastRequest"]
    assert answered["result"] == "Refused"
    assert why in answered["message"]


def test_a_failed_conversion_is_tried_again_under_a_new_number() -> None:
    failed = Conversion(attempt=3, failures=2, state="Failed", message="no")
    memory = remembered(answer_request(asked(conversion=failed), NOW))
    assert memory["conversion"] == {"attempt": 4, "failures": 0, "disruptions": 0, "state": "Running", "message": ""}


def test_failed_boards_alone_are_measured_again() -> None:
    done, failed = work(state="Measured"), work(RPI4, "Failed", attempt=3, failures=2, message="no")
    memory = remembered(answer_request(asked(conversion=CONVERTED, benchmarks=(done, failed)), NOW))
    assert [(each["board"], each["attempt"], each["state"], each["failures"]) for each in memory["benchmarks"]] == [
        ("rpi5", 1, "Measured", 0),
        ("rpi4", 4, "Running", 0),
    ]
