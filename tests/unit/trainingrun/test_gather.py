"""What is read of a run: the children that are too many, and what is known while the store does not answer."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.labels import ATTEMPT, MANAGED_BY_BRAMBLE, OWNER_UID, STEP
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kinds.trainingrun.controller import CONTROLLER
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.policies.store import store
from bramble.kube.resources import Key
from tests.unit.engine.replica import FakeStore
from tests.unit.jobs.reading import BrokenStore, gathered
from tests.unit.trainingrun.seen import NOW, PACKAGE, PIN, UID, ago, case, condition, manifest, message
from tests.unit.trainingrun.seen import job as job_of
from tests.unit.trainingrun.seen import pod as pod_of

PINNED = {"name": "tape", "uid": "uid-dataset", "version": PIN.version}


async def seen_of(status: dict[str, Any], children: tuple[dict[str, Any], ...], documents: FakeStore | None = None) -> Observed:
    run = {**manifest(), "status": {"dataset": PINNED, **status}}
    seen = await gathered(CONTROLLER, Key("TrainingRun", "ns", "run"), [run, *children], documents)
    assert isinstance(seen, Observed)
    return seen


def labels(step: str, attempt: int) -> dict[str, str]:
    return {**MANAGED_BY_BRAMBLE, OWNER_UID: UID, STEP: step, ATTEMPT: str(attempt)}


def child(step: str, attempt: int) -> dict[str, Any]:
    return {"kind": "Job", "metadata": {"name": f"run-{step}-{attempt}", "namespace": "ns", "labels": labels(step, attempt)}}


CURRENT = {"number": 2, "nodes": 2}
TRAINS = tuple(child("train", number) for number in (1, 2, 3))
EVALUATES = tuple(child("evaluate", number) for number in (1, 2, 3))
OUTCOME = {"reason": "SpecError", "message": ""}


@pytest.mark.parametrize(
    ("status", "children", "stale"),
    [
        case("an attempt above the one that memory names is a later leader's", {"attempt": 2, "current": CURRENT}, TRAINS, ["run-train-1"]),
        case("between attempts", {"attempt": 2}, TRAINS, ["run-train-1", "run-train-2"]),
        case("over", {"attempt": 2, "outcome": OUTCOME}, TRAINS, ["run-train-1", "run-train-2"]),
        case("the one that gave the package stays", {"attempt": 2, "package": {"digest": PACKAGE}}, TRAINS, ["run-train-1"]),
        case("an earlier evaluation", {"attempt": 2, "evaluating": {"attempt": 2}}, EVALUATES, ["run-evaluate-1"]),
        case("an evaluation that memory does not know of yet", {"attempt": 2}, EVALUATES, []),
    ],
)
async def test_stale_children(status: dict[str, Any], children: tuple[dict[str, Any], ...], stale: list[str]) -> None:
    seen = await seen_of(status, children)
    assert [child.key.name for child in seen.stale_children] == stale


def failing() -> tuple[dict[str, Any], ...]:
    """Attempt 2, whose rank 1 ended with 1 ten seconds ago."""
    job = job_of(("FailureTarget", "PodFailurePolicy"), since=10)
    job["metadata"] |= {"name": "run-train-2", "labels": labels("train", 2)}
    pods = (pod_of(0), pod_of(1, 1, ended=10))
    for pod in pods:
        pod["metadata"]["labels"] |= labels("train", 2)
    return (job, *pods)


@pytest.mark.parametrize("error", [StoreUnavailable("no answer"), StoreRefused("no such key")])
async def test_while_the_store_fails_the_pods_say_why_the_attempt_ended(error: Exception) -> None:
    seen = await seen_of({"attempt": 2, "current": CURRENT, "phase": "Training"}, failing(), BrokenStore(error))
    plan = store(seen, NOW)
    assert condition(plan) == ("False", type(error).__name__)
    assert message(plan).startswith(f"{error}; attempt 2 is ending, and its pods say: Error (node rank 1, node gpu-2, exit code 1)")
    assert plan is not None
    assert (plan.remember, plan.items, plan.wake_at) == (False, (), ago(-5))


@pytest.mark.parametrize(
    "status",
    [
        case("before the first attempt", {}),
        case("while it is evaluated", {"attempt": 1, "package": {"digest": PACKAGE}, "evaluating": {"attempt": 1}}),
    ],
)
async def test_a_store_that_does_not_answer_is_told_at_every_stage(status: dict[str, Any]) -> None:
    plan = store(await seen_of(status, (), BrokenStore(StoreUnavailable("no answer"))), NOW)
    assert (condition(plan), message(plan)) == (("False", "StoreUnavailable"), "no answer")


async def test_a_run_that_trains_needs_no_store() -> None:
    job = job_of()
    job["metadata"] |= {"name": "run-train-2", "labels": labels("train", 2)}
    pods = (pod_of(0), pod_of(1))
    for pod in pods:
        pod["metadata"]["labels"] |= labels("train", 2)
    seen = await seen_of({"attempt": 2, "current": CURRENT}, (job, *pods), BrokenStore(StoreUnavailable("no answer")))
    assert store(seen, NOW) is None


async def test_an_attempt_that_ended_well_is_not_said_to_have_left_no_result() -> None:
    job = job_of(("Complete", ""))
    job["metadata"] |= {"name": "run-train-2", "labels": labels("train", 2)}
    seen = await seen_of({"attempt": 2, "current": CURRENT}, (job,), BrokenStore(StoreUnavailable("no answer")))
    assert message(store(seen, NOW)) == "no answer"
