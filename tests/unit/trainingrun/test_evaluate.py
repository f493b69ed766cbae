"""The exported package is evaluated, and its gates are compared with what was measured."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.api.objects import StepAttempts
from bramble.contracts.jobs.evaluate import Gate
from bramble.kinds.jobs.gather import StepSeen, Stored
from bramble.kinds.jobs.job import Failure, Job
from bramble.kinds.trainingrun.policies.evaluate import evaluate
from bramble.kinds.trainingrun.policies.gates import gates
from tests.unit.trainingrun.seen import (
    NOW,
    PIN,
    TRAINED_PACKAGE,
    ago,
    case,
    cause,
    condition,
    evaluate_result,
    evaluated,
    made,
    message,
    observed,
    remembered,
    stored,
    training,
)

RESULT: Stored = stored(evaluate_result(0.97, (Gate(metric="recall", min="0.9", label="ad", slice="channel=rai1"), 0.95, True)))
FAILED_JOB = Job(name="run-evaluate-1", failure=Failure("BackoffLimitExceeded"))


ONE = StepAttempts(attempt=1)


def trained(step: StepSeen | None = None, evaluating: StepAttempts | None = ONE, **status: Any) -> Any:
    return observed(status={"dataset": PIN, "package": TRAINED_PACKAGE, "evaluating": evaluating, **status}, evaluation=step)


@pytest.mark.parametrize(
    "seen", [case("the run has not trained", training()), case("the package was evaluated before", trained(evaluation=evaluated()))]
)
def test_nothing_to_do(seen: Any) -> None:
    assert evaluate(seen, NOW) is None


def test_the_attempt_is_remembered_before_it_is_made() -> None:
    assert remembered(evaluate(trained(evaluating=None), NOW))["evaluating"]["attempt"] == 1
    assert made(evaluate(trained(StepSeen()), NOW)) == [("CreateOnce", "Job"), ("CreateOnce", "ConfigMap")]


def test_the_result_is_filed_then_remembered() -> None:
    assert made(evaluate(trained(StepSeen(stored=RESULT)), NOW)) == [("FileResult", "")]
    memory = remembered(evaluate(trained(StepSeen(stored=RESULT, filed=RESULT)), NOW))
    assert memory["evaluation"]["metrics"]["accuracy"] == 0.97
    assert memory["evaluation"]["gates"] == [{"gate": "recall of ad where channel=rai1 at least 0.9", "value": 0.95, "passed": True}]


def test_a_remark_is_remembered_bounded_and_told() -> None:
    result = evaluate_result(0.1).model_copy(update={"remarks": ("labels may be exchanged", *["x" * 999] * 9)})
    plan = evaluate(trained(StepSeen(stored=stored(result), filed=stored(result))), NOW)
    remarks = remembered(plan)["evaluation"]["remarks"]
    assert [len(remark) for remark in remarks] == [23, 300, 300, 300]
    assert "labels may be exchanged" in message(plan)


def test_a_filed_result_of_the_same_inputs_needs_no_job() -> None:
    assert "evaluation" in remembered(evaluate(trained(StepSeen(filed=RESULT)), NOW))


def test_a_failure_is_tried_again_under_a_new_number() -> None:
    memory = remembered(evaluate(trained(StepSeen(job=FAILED_JOB, cause=cause("Error"))), NOW))
    assert memory["evaluating"] == {"attempt": 2, "failures": 1, "disruptions": 0}


@pytest.mark.parametrize(
    ("spent", "kind"),
    [
        case("bad data is final", StepAttempts(attempt=1), "BadData"),
        case("the third failure is one too many", StepAttempts(attempt=3, failures=2), "Error"),
    ],
)
def test_it_gives_up(spent: StepAttempts, kind: Any) -> None:
    plan = evaluate(trained(StepSeen(job=FAILED_JOB, cause=cause(kind)), spent), NOW)
    memory = remembered(plan)
    assert memory["outcome"]["reason"] == "EvaluationFailed"
    assert condition(plan, "Failed") == ("True", "EvaluationFailed")
    assert "package is kept" in message(plan)


@pytest.mark.parametrize(
    ("measured", "missed"),
    [
        case("the spec has no gates", evaluated(), False),
        case("the only gate was reached", evaluated(("f1 at least 0.9", 0.9, True)), False),
        case("one of two gates was missed", evaluated(("f1 at least 0.9", 0.95, True), ("recall of ad at least 0.9", 0.8, False)), True),
        case("the test split has no sample for the gate", evaluated(("recall of ad at least 0.9", None, False)), True),
    ],
)
def test_gates(measured: Any, missed: bool) -> None:
    plan = gates(trained(evaluation=measured), NOW)
    if not missed:
        assert plan is None
        return
    assert remembered(plan)["outcome"]["reason"] == "GatesFailed"
    assert condition(plan, "GatesPassed") == ("False", "GatesFailed")
    assert message(plan).startswith("recall of ad at least 0.9: missed with"), "the missed one stands first"


def test_a_job_that_gets_no_pod_is_looked_at_again_by_itself() -> None:
    waits = StepSeen(job=Job(name="j", uid="u", since=ago(20)), begun=True, warning="FailedCreate: quota")
    plan = evaluate(trained(waits), NOW)
    assert plan is not None
    assert plan.wake_at == NOW + timedelta(seconds=4)
    assert "FailedCreate: quota" in message(plan)
