"""A request by annotation: a failed run is tried again, and everything else is refused."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.objects import LastRequest, StepAttempts
from bramble.api.trainingrun import Outcome
from bramble.kinds.trainingrun.policies.answer_request import answer_request
from tests.unit.trainingrun.seen import NOW, PIN, TRAINED_PACKAGE, case, condition, evaluated, observed, remembered

FAILED = Outcome(reason="FailureBudgetSpent", message="", at="")
RETRY = '{"id": "1", "action": "retry"}'


def asked(text: str | None, **status: Any) -> Any:
    annotations = {"bramble.dev/request": text} if text is not None else None
    return observed(annotations=annotations, status={"dataset": PIN, "attempt": 3, **status})


@pytest.mark.parametrize(
    "seen",
    [
        case("there is no request", asked(None)),
        case("the request was answered before", asked(RETRY, last_request=LastRequest(id="1"))),
    ],
)
def test_nothing_to_answer(seen: Any) -> None:
    assert answer_request(seen, NOW) is None


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        case("the annotation is not JSON", asked("retry"), "not JSON"),
        case("the annotation is not an object", asked("[1]"), "not a JSON object"),
        case("the request has no id", asked('{"action": "retry"}'), "id is None"),
        case("the id is a number", asked('{"id": 1, "action": "retry"}'), "id is 1"),
        case("there is an unknown field", asked('{"id": "1", "action": "retry", "force": true}'), "remove 'force'"),
        case("the attempt is a word", asked('{"id": "1", "action": "retry", "attempt": "3"}'), "attempt is '3'"),
        case("the action is unknown", asked('{"id": "1", "action": "promote"}', outcome=FAILED), "use retry"),
        case(
            "the request names an earlier attempt",
            asked('{"id": "1", "action": "retry", "attempt": 2}', outcome=FAILED),
            "the last attempt is 3",
        ),
        case("the run goes on", asked(RETRY), "has not ended"),
        case("the run succeeded", asked(RETRY, outcome=Outcome(reason="Succeeded")), "make another TrainingRun"),
    ],
)
def test_refused(seen: Any, why: str) -> None:
    plan = answer_request(seen, NOW)
    answered = remembered(plan)["lastRequest"]
    assert answered["result"] == "Refused"
    assert why in answered["message"]
    assert plan is not None
    assert [(event.type, event.reason) for event in plan.events] == [("Warning", "RequestRefused")]


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        case("attempts had failed, so the run trains again", {"outcome": FAILED, "failures": 3, "stalls": 1, "spent_seconds": 9}, None),
        case(
            "a gate was missed, so the run trains and is evaluated again",
            {
                "outcome": Outcome(reason="GatesFailed"),
                "package": TRAINED_PACKAGE,
                "evaluation": evaluated(("accuracy", 0.1, False)),
                "evaluating": StepAttempts(attempt=1),
            },
            None,
        ),
        case(
            "the evaluation had failed, so only that is repeated",
            {"outcome": Outcome(reason="EvaluationFailed"), "package": TRAINED_PACKAGE, "evaluating": StepAttempts(attempt=1)},
            TRAINED_PACKAGE.digest,
        ),
    ],
)
def test_retry(status: dict[str, Any], kept: str | None) -> None:
    plan = answer_request(asked(RETRY, **status), NOW)
    after = remembered(plan)
    assert condition(plan) == ("False", "BetweenAttempts")
    assert "outcome" not in after
    assert (after["failures"], after["stalls"], after["spentSeconds"], after["attempt"]) == (0, 0, 0, 3)
    assert after.get("package", {}).get("digest") == kept
    assert "evaluation" not in after
    assert after.get("evaluating", {}).get("attempt") == (2 if "evaluating" in status else None)
    assert after["lastRequest"]["result"] == "Accepted"


def test_a_retry_of_a_packaging_packages_again() -> None:
    """The corrected cause may lie outside of the run, such as the memory of the step."""
    status = {"outcome": Outcome(reason="PackagingFailed"), "packaging": StepAttempts(attempt=1, failures=3)}
    after = remembered(answer_request(asked(RETRY, **status), NOW))
    assert after["packaging"] == {"attempt": 2, "failures": 0, "disruptions": 0}
    assert "outcome" not in after
