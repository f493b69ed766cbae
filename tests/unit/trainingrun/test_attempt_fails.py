"""An attempt ends without a result: what is shown, when a budget is charged, and when the run is over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.api.conditions import rfc3339
from bramble.api.trainingrun import Outcome
from bramble.contracts.cause import Cause
from bramble.kinds.trainingrun.plan import plan
from bramble.kinds.trainingrun.policies.attempt_fails import attempt_fails
from bramble.kinds.trainingrun.policies.ended import ended
from tests.unit.trainingrun.seen import (
    NODES,
    NOW,
    PIN,
    ago,
    attempt,
    case,
    cause,
    condition,
    job,
    message,
    observed,
    pod,
    remembered,
    stated,
    stored,
    training,
)

ERROR = attempt(pod(0), pod(1, 1), reported={1: cause("Error", 1, exit_code=1, node="gpu-2")})


def lost_peer(seconds: float) -> Any:
    """Rank 0 reported a lost peer so long ago, and rank 1 has not reported."""
    return attempt(pod(0, 1, ended=seconds), pod(1), reported={0: cause("PeerLost", 0)})


@pytest.mark.parametrize(
    "seen",
    [
        case("the attempt trains", training(nodes=NODES)),
        case("the attempt left a result", training(attempt(stored=stored()), nodes=NODES)),
        case("there is no attempt", observed()),
    ],
)
def test_the_attempt_does_not_fail(seen: Any) -> None:
    assert attempt_fails(seen, NOW) is None


def test_an_error_of_a_rank_is_charged_at_once() -> None:
    plan = attempt_fails(training(ERROR, nodes=NODES), NOW)
    memory = remembered(plan)
    assert "current" not in memory
    assert (memory["failures"], memory["firstCause"]["rank"], memory["firstCause"]["exitCode"]) == (1, 1, 1)
    assert condition(plan) == condition(plan, "Running") == ("False", "AttemptFailed")
    assert "rank 1, node gpu-2, exit code 1" in message(plan)
    assert "1 failures and 20 disruptions are left" in message(plan)


def test_the_last_failure_ends_the_run() -> None:
    plan = attempt_fails(training(ERROR, nodes=NODES, status={"failures": 2}), NOW)
    memory = remembered(plan)
    assert memory["outcome"]["reason"] == "FailureBudgetSpent"
    assert condition(plan, "Failed") == ("True", "FailureBudgetSpent")
    assert "raise the budget or request a retry" in message(plan)


def test_in_the_first_second_nothing_is_written() -> None:
    plan = attempt_fails(training(lost_peer(0)), NOW)
    assert plan is not None
    assert (plan.status, plan.items, plan.wake_at) == (None, (), ago(-1))


def test_a_likely_cause_is_shown_and_costs_nothing_yet() -> None:
    plan = attempt_fails(training(lost_peer(1)), NOW)
    memory = remembered(plan)
    assert memory["firstCause"]["kind"] == "PeerLost"
    assert memory.get("disruptions", 0) == 0
    assert memory["current"]["number"] == 1
    assert condition(plan) == ("False", "AttemptEnding")


def test_a_likely_cause_is_remembered_once() -> None:
    shown = remembered(attempt_fails(training(lost_peer(5)), NOW))["firstCause"]
    plan = attempt_fails(training(lost_peer(5), status={"first_cause": Cause.model_validate(shown)}), NOW)
    assert "PeerLost" in message(plan)
    assert plan is not None
    assert (plan.remember, plan.wake_at) == (False, ago(-55))


def test_a_better_cause_replaces_the_one_that_was_shown() -> None:
    """Rank 1 reports its own error after rank 0's lost peer was shown."""
    both = attempt(pod(0, 1, ended=5), pod(1, 1), reported={0: cause("PeerLost", 0), 1: cause("Error", 1)})
    memory = remembered(attempt_fails(training(both, status={"first_cause": cause("PeerLost", 0)}), NOW))
    assert (memory["firstCause"]["kind"], memory["failures"]) == ("Error", 1)


def test_after_a_minute_of_silence_a_lost_peer_is_charged() -> None:
    memory = remembered(attempt_fails(training(lost_peer(60)), NOW))
    assert "current" not in memory
    assert (memory["disruptions"], memory["failures"]) == (1, 0)


def test_a_cause_that_explains_nothing_is_not_remembered() -> None:
    stopped = attempt(pod(0, 1, ended=5), pod(1), reported={0: cause("Terminated", 0)})
    plan = attempt_fails(training(stopped), NOW)
    assert condition(plan) == ("False", "AttemptEnding")
    assert "another one that may know why has not reported yet" in message(plan)
    assert "firstCause" not in stated(plan)
    assert plan is not None
    assert (plan.remember, plan.wake_at) == (False, ago(-55))


def test_a_clock_that_is_behind_leaves_no_second_of_the_deadline() -> None:
    """By this clock the attempt ran 58 of its 60 seconds; another one of 2 seconds would follow, and so on without end."""
    spec, overran = {"budgets": {"deadline": "1m"}}, job(("FailureTarget", "DeadlineExceeded"), started=58, since=-2)
    memory = remembered(attempt_fails(training(attempt(job_=overran), spec=spec, nodes=NODES), NOW))
    outcome = Outcome.model_validate(memory["outcome"])
    later = observed(spec, status={"dataset": PIN, "attempt": 1, "spent_seconds": memory["spentSeconds"], "outcome": outcome})
    assert condition(ended(later, NOW), "Failed") == ("True", "DeadlineExceeded")


def test_the_deadline_ends_the_run() -> None:
    seen = training(attempt(job_=job(("FailureTarget", "DeadlineExceeded"), started=61)), spec={"budgets": {"deadline": "1m"}}, nodes=NODES)
    plan = attempt_fails(seen, NOW)
    memory = remembered(plan)
    assert memory["outcome"]["reason"] == "DeadlineExceeded"
    assert (memory["spentSeconds"], "current" in memory) == (60, False)
    assert "raise it" in message(plan)


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        case("the result in the store is not the one that the job wrote", attempt(stored=stored(problem="another digest")), "Error"),
        case("every rank ended with 0 and left no result", attempt(pod(0, 0), pod(1, 0), job_=job(("Complete", ""))), "Unknown"),
    ],
)
def test_failures_that_no_rank_reports(seen: Any, kind: str) -> None:
    memory = remembered(attempt_fails(training(seen, nodes=NODES), NOW))
    assert (memory["firstCause"]["kind"], memory["failures"]) == (kind, 1)


def overdue(*conditions: tuple[str, str]) -> dict[str, Any]:
    """The Job of an attempt whose deadline of a minute has passed a second ago."""
    made = job(*conditions, started=61)
    return {**made, "spec": {"activeDeadlineSeconds": 60}}


@pytest.mark.parametrize(
    "pods",
    [
        case("no node fitted, so the pod was gone at once", {}),
        case("the image could not be pulled", pod(0, waiting={"reason": "ImagePullBackOff", "message": "no"}, phase="Pending", deleted=1)),
    ],
)
def test_the_last_obstacle_stays_in_the_message(pods: dict[str, Any]) -> None:
    """The Job controller deletes the pods, and then says that the deadline has passed."""
    ready = {"type": "Ready", "status": "False", "reason": "Starting", "message": "why", "lastTransitionTime": rfc3339(ago(60))}
    status = {"conditions": (ready,)}
    between = plan(training(attempt(pods, nodes=1, job_=overdue()), status=status, nodes=NODES), NOW)
    assert between.status is None, "the condition keeps the obstacle"
    assert between.wake_at == NOW + timedelta(seconds=2)
    over = plan(training(attempt(pods, nodes=1, job_=overdue(("Failed", "DeadlineExceeded"))), status=status, nodes=NODES), NOW)
    assert condition(over) == ("False", "DeadlineExceeded")
    assert "the last attempt did not begin to train: why" in message(over)
    assert "firstCause" not in remembered(over)
