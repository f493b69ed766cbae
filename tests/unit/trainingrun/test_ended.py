"""A run that is over: how it ended is reported, and a raised budget lets it go on."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.trainingrun import Outcome
from bramble.kinds.trainingrun.policies.ended import ended
from tests.unit.trainingrun.seen import NOW, PIN, case, condition, evaluated, observed, remembered, stated

MINUTE = {"budgets": {"deadline": "1m"}}


def over(reason: str, spec: dict[str, Any] | None = None, **status: Any) -> Any:
    return observed(spec, status={"dataset": PIN, "outcome": Outcome(reason=reason, message="so it is"), **status})


def budgets(**fields: Any) -> dict[str, Any]:
    return {"budgets": fields}


def test_a_run_that_has_not_ended() -> None:
    assert ended(observed(), NOW) is None


@pytest.mark.parametrize(
    ("seen", "ready", "last"),
    [
        case("the run is complete", over("Succeeded", evaluation=evaluated(("f1", 1.0, True))), ("True", "Succeeded"), "Complete"),
        case("a gate was missed", over("GatesFailed", evaluation=evaluated(("f1", 0.1, False))), ("False", "GatesFailed"), "Failed"),
        case(
            "there were more failures than allowed",
            over("FailureBudgetSpent", budgets(failures=2), failures=3),
            ("False", "FailureBudgetSpent"),
            "Failed",
        ),
        case(
            "there were more disruptions than allowed",
            over("DisruptionBudgetSpent", budgets(disruptions=2), disruptions=3),
            ("False", "DisruptionBudgetSpent"),
            "Failed",
        ),
        case("no budget mends a spec error", over("SpecError", budgets(failures=100)), ("False", "SpecError"), "Failed"),
        case(
            "the deadline is used up exactly", over("DeadlineExceeded", MINUTE, spent_seconds=60), ("False", "DeadlineExceeded"), "Failed"
        ),
    ],
)
def test_how_it_ended_is_reported(seen: Any, ready: tuple[str, str], last: str) -> None:
    plan = ended(seen, NOW)
    assert condition(plan) == ready
    assert condition(plan, last)[0] == "True"
    assert condition(plan, "Running")[0] == "False"
    assert stated(plan)["phase"] == last
    assert plan is not None
    assert plan.items == ()
    if "evaluation" in stated(plan):
        assert condition(plan, "GatesPassed")[0] == ("True" if last == "Complete" else "False")


@pytest.mark.parametrize(
    "seen",
    [
        case("as many failures are allowed as there were", over("FailureBudgetSpent", budgets(failures=3), failures=3)),
        case("as many disruptions are allowed as there were", over("DisruptionBudgetSpent", budgets(disruptions=21), disruptions=21)),
        case("the deadline allows one second more", over("DeadlineExceeded", MINUTE, spent_seconds=59)),
        case("there is no deadline any more", over("DeadlineExceeded", spent_seconds=60)),
    ],
)
def test_a_raised_budget_lets_it_go_on(seen: Any) -> None:
    plan = ended(seen, NOW)
    assert "outcome" not in remembered(plan)
    assert condition(plan) == ("False", "BetweenAttempts")
