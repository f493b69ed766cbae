from __future__ import annotations

from typing import Any

import pytest

from bramble.api.trainingrun import Outcome
from bramble.kinds.trainingrun.policies.ended import ended
from tests.unit.trainingrun.seen import NOW, PIN, case, condition, evaluated, observed, remembered, stated


def outcome(reason: str, spec: dict[str, Any] | None = None, **status: Any) -> Any:
    return observed(spec, status={"dataset": PIN, "outcome": Outcome(reason=reason, message="so it is"), **status})


def budgets(**fields: Any) -> dict[str, Any]:
    return {"budgets": fields}


def test_a_run_that_has_not_ended() -> None:
    assert ended(observed(), NOW) is None


@pytest.mark.parametrize(
    ("seen", "ready", "last"),
    [
        case("complete", outcome("Succeeded", evaluation=evaluated(("f1", 1.0, True))), ("True", "Succeeded"), "Complete"),
        case("gates", outcome("GatesFailed", evaluation=evaluated(("f1", 0.1, False))), ("False", "GatesFailed"), "Failed"),
        case("failures", outcome("FailureBudgetSpent", budgets(failures=2), failures=3), ("False", "FailureBudgetSpent"), "Failed"),
        case("no raise mends a spec error", outcome("SpecError", budgets(failures=100)), ("False", "SpecError"), "Failed"),
        case("no time", outcome("DeadlineExceeded", budgets(deadline="1m"), spent_seconds=60), ("False", "DeadlineExceeded"), "Failed"),
    ],
)  # fmt: skip
def test_how_it_ended_is_told(seen: Any, ready: tuple[str, str], last: str) -> None:
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
        case("one more failure allowed", outcome("FailureBudgetSpent", budgets(failures=3), failures=3)),
        case("more disruptions allowed", outcome("DisruptionBudgetSpent", budgets(disruptions=21), disruptions=21)),
        case("more time allowed", outcome("DeadlineExceeded", budgets(deadline="2m"), spent_seconds=60)),
        case("all the time there is", outcome("DeadlineExceeded", spent_seconds=60)),
    ],
)
def test_a_raised_budget_lets_it_go_on(seen: Any) -> None:
    assert "outcome" not in remembered(ended(seen, NOW))
