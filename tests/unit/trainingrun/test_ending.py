from __future__ import annotations

from typing import Any

import pytest

from bramble.api.trainingrun import Outcome
from bramble.kinds.trainingrun.policies.ending import ending
from bramble.kinds.trainingrun.policies.over import over
from tests.unit.trainingrun.seen import (
    NODES,
    NOW,
    PIN,
    attempt,
    case,
    cause,
    condition,
    job,
    message,
    observed,
    pod,
    remembered,
    stored,
    training,
)

ERROR = attempt(pod(0), pod(1, 1), reported={1: cause("Error", 1, exit_code=1, node="gpu-2")})
PEER = {0: cause("PeerLost", 0)}


@pytest.mark.parametrize(
    "seen",
    [
        case("it trains", training(nodes=NODES)),
        case("it left a result", training(attempt(stored=stored()), nodes=NODES)),
        case("there is no attempt", observed()),
    ],
)
def test_no_end(seen: Any) -> None:
    assert ending(seen, NOW) is None


def test_an_own_error_is_charged_at_once() -> None:
    plan = ending(training(ERROR, nodes=NODES), NOW)
    memory = remembered(plan)
    assert "current" not in memory
    assert (memory["failures"], memory["firstCause"]["rank"], memory["firstCause"]["exitCode"]) == (1, 1, 1)
    assert condition(plan) == condition(plan, "Running") == ("False", "AttemptFailed")
    assert "rank 1, node gpu-2, exit code 1" in message(plan)
    assert "1 failures and 20 disruptions are left" in message(plan)


def test_the_last_failure_ends_the_run() -> None:
    plan = ending(training(ERROR, nodes=NODES, status={"failures": 2}), NOW)
    memory = remembered(plan)
    assert memory["outcome"]["reason"] == "FailureBudgetSpent"
    assert condition(plan, "Failed") == ("True", "FailureBudgetSpent")
    assert "raise the budget or request a retry" in message(plan)


@pytest.mark.parametrize(
    ("ended", "known", "kind"),
    [
        case("one second after: let the others speak", 1, None, "wait"),
        case("three seconds after: show what is known", 3, None, "remember"),
        case("shown before: only wait on", 5, "same", "report"),
        case("a minute after: charge it", 60, None, "charge"),
    ],
)
def test_a_lost_peer(ended: float, known: str | None, kind: str) -> None:
    seen = training(attempt(pod(0, 1, ended=ended), pod(1), reported=PEER), nodes=NODES)
    if known == "same":
        first = ending(seen, NOW)
        seen = training(seen.attempt, nodes=NODES, status={"first_cause": remembered(first)["firstCause"]})
    plan = ending(seen, NOW)
    assert plan is not None
    memory = plan.status or {}
    assert {
        "wait": plan.status is None and plan.wake_at is not None,
        "remember": plan.remember and "current" in memory and memory.get("firstCause", {}).get("kind") == "PeerLost",
        "report": not plan.remember and plan.wake_at is not None and bool(memory),
        "charge": plan.remember and "current" not in memory and memory.get("disruptions") == 1,
    }[kind]


def test_what_explains_nothing_is_not_remembered_yet() -> None:
    plan = ending(training(attempt(pod(0, 1, ended=5), pod(1), reported={0: cause("Terminated", 0)}), nodes=NODES), NOW)
    assert condition(plan) == ("False", "AttemptEnding")
    assert "has not spoken yet" in message(plan)
    assert plan is not None
    assert not plan.remember
    assert plan.wake_at is not None


def test_a_clock_that_is_behind_leaves_no_second_of_the_deadline() -> None:
    """By this clock the attempt ran 58 of its 60 seconds; another one of 2 seconds would follow, and so on without end."""
    spec, ended = {"budgets": {"deadline": "1m"}}, job(("FailureTarget", "DeadlineExceeded"), started=58, since=-2)
    memory = remembered(ending(training(attempt(job_=ended), spec=spec, nodes=NODES), NOW))
    outcome = Outcome.model_validate(memory["outcome"])
    after = observed(spec, status={"dataset": PIN, "attempt": 1, "spent_seconds": memory["spentSeconds"], "outcome": outcome})
    assert condition(over(after, NOW), "Failed") == ("True", "DeadlineExceeded")


def test_the_deadline() -> None:
    seen = training(attempt(job_=job(("FailureTarget", "DeadlineExceeded"), started=61)), spec={"budgets": {"deadline": "1m"}}, nodes=NODES)
    plan = ending(seen, NOW)
    memory = remembered(plan)
    assert memory["outcome"]["reason"] == "DeadlineExceeded"
    assert (memory["spentSeconds"], "current" in memory) == (60, False)
    assert "raise it" in message(plan)


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        case("a result that is not the one written", attempt(stored=stored(problem="another digest")), "Error"),
        case("every rank ended with 0 and left nothing", attempt(pod(0, 0), pod(1, 0), job_=job(("Complete", ""))), "Unknown"),
    ],
)
def test_ends_that_are_no_failure_of_a_rank(seen: Any, kind: str) -> None:
    memory = remembered(ending(training(seen, nodes=NODES), NOW))
    assert (memory["firstCause"]["kind"], memory["failures"]) == (kind, 1)
