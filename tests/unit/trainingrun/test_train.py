"""The present attempt is made, and its progress is reported."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.trainingrun import CurrentAttempt, ProgressSeen
from bramble.kinds.trainingrun.attempt import AttemptSeen
from bramble.kinds.trainingrun.policies.train import train
from tests.unit.trainingrun.seen import (
    NODES,
    NOW,
    attempt,
    case,
    condition,
    job,
    made,
    message,
    node,
    observed,
    pod,
    progress,
    stated,
    training,
)

UNSCHEDULABLE = pod(0, phase="Pending", conditions=({"type": "PodScheduled", "status": "False", "message": "0/5 nodes."},), waiting={})
PULL = pod(0, waiting={"reason": "ErrImagePull", "message": "not found"})
OWN_IMAGE = {"trainer": {"container": {"image": "me/train", "command": ["python", "train.py"]}}}
FIRST_STEP = "2026-01-02T03:04:00Z"
GPUS = {"resources": {"limits": {"nvidia.com/gpu": 1}}}


def test_no_attempt() -> None:
    assert train(observed(), NOW) is None


def test_the_attempt_that_memory_names_is_made() -> None:
    plan = train(training(AttemptSeen(1, 2)), NOW)
    assert made(plan) == [("Apply", "Service"), ("CreateOnce", "Job"), ("CreateOnce", "ConfigMap")]
    assert condition(plan) == ("False", "Starting")


@pytest.mark.parametrize(
    ("seen", "reason", "fragments"),
    [
        case("Kueue holds the Job back", training(attempt(job_=job(suspend=True))), "Queued", ("Kueue starts it",)),
        case("a pod has not been made", training(attempt(pod(0), {})), "Starting", ("1 of 2 pods",)),
        case(
            "no node takes the pod",
            training(attempt(UNSCHEDULABLE, pod(1))),
            "Starting",
            ("cannot be scheduled", "0/5 nodes", "Add such a node"),
        ),
        case(
            "Bramble's image cannot be pulled", training(attempt(PULL, pod(1))), "Starting", ("ErrImagePull", "the chart's images values")
        ),
        case(
            "the user's image cannot be pulled",
            training(attempt(PULL, pod(1)), spec=OWN_IMAGE),
            "Starting",
            ("spec.trainer.container.image",),
        ),
    ],
)
def test_the_attempt_waits(seen: Any, reason: str, fragments: tuple[str, ...]) -> None:
    plan = train(seen, NOW)
    assert condition(plan) == condition(plan, "Running") == ("False", reason)
    assert [fragment for fragment in fragments if fragment not in message(plan)] == [], message(plan)
    assert made(plan) == [("Apply", "Service")], "somebody may have deleted it"


def test_progress_is_reported() -> None:
    said = progress(3, 50, eta_seconds=80.4, metrics={"loss": 0.123456789}, device="cpu", world_size=2, first_step_at=FIRST_STEP)
    plan = train(training(attempt(progress=said)), NOW)
    assert condition(plan, "Running") == ("True", "Training")
    assert stated(plan)["progress"] == {
        "summary": "3/50",
        "epoch": 3,
        "epochs": 50,
        "etaSeconds": 80,
        "metrics": {"loss": 0.123457},
        "device": "cpu",
        "worldSize": 2,
        "firstStepAt": FIRST_STEP,
    }
    assert "epoch 3 of 50, about 0:01:20 left" in message(plan)


def test_the_condition_says_that_the_cpu_is_used_in_place_of_gpus() -> None:
    current = CurrentAttempt(number=1, nodes=2, cpu_allowed=True)
    assert "on the CPU in place of the GPUs asked for" in message(train(training(spec=GPUS, status={"current": current}, nodes=NODES), NOW))


def test_a_silent_node_is_looked_at_when_it_would_count_as_lost() -> None:
    plan = train(training(nodes=(NODES[0], node("gpu-2", ready=False, since=12))), NOW)
    assert plan is not None
    assert plan.wake_at is not None
    assert (plan.wake_at - NOW).total_seconds() == 18


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        case("nothing was reported yet", None, "attempt 1 trains on 2 nodes"),
        case("an epoch", progress(3, 50), "attempt 1 trains on 2 nodes, epoch 3 of 50"),
        case("the time that is left", progress(3, 50, eta_seconds=80.6), "attempt 1 trains on 2 nodes, epoch 3 of 50, about 0:01:21 left"),
        case("a message without epochs", progress(0, 0, message="warming up"), "attempt 1 trains on 2 nodes: warming up"),
        case("an epoch is told before a message", progress(3, 50, message="warming up"), "attempt 1 trains on 2 nodes, epoch 3 of 50"),
        case("neither an epoch nor a message", progress(0, 0), "attempt 1 trains on 2 nodes"),
    ],
)
def test_the_condition_says_how_far_the_attempt_has_come(said: Any, expected: str) -> None:
    assert message(train(training(attempt(progress=said)), NOW)) == expected


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [case("the run asks for no GPU", None, True), case("the run asks for GPUs and has them", GPUS, False)],
)
def test_the_cpu_is_only_named_where_it_takes_the_place_of_gpus(spec: Any, allowed: bool) -> None:
    current = CurrentAttempt(number=1, nodes=2, cpu_allowed=allowed)
    assert message(train(training(spec=spec, status={"current": current}), NOW)) == "attempt 1 trains on 2 nodes"


def test_the_service_and_the_phase_stay_while_it_trains() -> None:
    plan = train(training(status={"progress": ProgressSeen(summary="2/50")}), NOW)
    assert made(plan) == [("Apply", "Service")]
    assert (stated(plan)["phase"], stated(plan)["progress"]["summary"]) == ("Training", "2/50")
    assert plan is not None
    assert plan.wake_at is None


def test_a_new_attempt_has_no_progress() -> None:
    plan = train(training(AttemptSeen(1, 2), status={"progress": ProgressSeen(summary="2/50")}), NOW)
    assert (stated(plan)["phase"], stated(plan).get("progress")) == ("Training", None)
