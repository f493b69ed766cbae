"""The state of the present attempt, from what was read of it."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.trainingrun import CurrentAttempt
from bramble.kinds.blockers import Blocker
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.trainingrun.attempt import Absent, AttemptSeen, Ending, Overran, Trained, Training, Waiting
from bramble.kinds.trainingrun.attempt_state import attempt_state
from bramble.kinds.trainingrun.observed import Observed
from tests.unit.trainingrun.seen import NODES, NOW, ago, attempt, case, cause, evaluate_result, job, node, observed, pod, stored, training

COMPLETE = job(("Complete", ""))
OVERRAN = job(("FailureTarget", "DeadlineExceeded"))
FAILED_PODS = (pod(0), pod(1, 1))
SILENT = (NODES[0], node("gpu-2", ready=False, since=12))


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        case("there is no attempt", observed(), type(None)),
        case("there is no Job and no result", training(AttemptSeen(1, 2)), Absent),
        case("the Job is gone, and nothing says why it ended", training(AttemptSeen(1, 2, begun=True)), Ending),
        case("the Job is gone, and a rank has left a cause", training(AttemptSeen(1, 2, reported={1: cause("Error", 1)})), Ending),
        case("the Job is gone, and its pods go on", training(AttemptSeen(1, 2, None, attempt().pods, begun=True)), Training),
        case("Kueue holds the Job back", training(attempt({}, {}, job_=job(suspend=True))), Waiting),
        case("a pod is missing", training(attempt(pod(0), {})), Waiting),
        case("a rank has not started", training(attempt(pod(0), pod(1, waiting={"reason": "ContainerCreating"}))), Waiting),
        case("every rank runs", training(), Training),
        case("one rank runs, the other ended with success", training(attempt(pod(0, 0), pod(1))), Training),
        case("a rank failed", training(attempt(*FAILED_PODS)), Ending),
        case("a rank failed, and another pod is missing", training(attempt({}, pod(1, 1))), Ending),
        case("the deadline is over", training(attempt(job_=OVERRAN)), Overran),
        case("the deadline is over, and a rank failed", training(attempt(*FAILED_PODS, job_=OVERRAN)), Overran),
        case("the Job succeeded without a result", training(attempt(pod(0, 0), pod(1, 0), job_=COMPLETE)), Ending),
        case("there is a result, and the Job succeeded", training(attempt(job_=COMPLETE, stored=stored())), Trained),
        case("there is a result, and the Job is gone", training(AttemptSeen(1, 2, stored=stored())), Trained),
        case("there is a result, and a rank failed", training(attempt(*FAILED_PODS, stored=stored())), Trained),
        case("there is a result, and the deadline is over", training(attempt(job_=OVERRAN, stored=stored())), Trained),
        case("the result is not the one that was written", training(attempt(stored=stored(problem="another digest"))), Ending),
        case("the result is of another step", training(attempt(stored=stored(evaluate_result()))), Ending),
    ],
)
def test_attempt_state(seen: Observed, state: type) -> None:
    assert isinstance(attempt_state(seen, NOW), state)


@pytest.mark.parametrize(
    ("deadline", "state"),
    [
        case("what Bramble asked for", 3600, Overran),
        case("less, as a policy of the cluster wrote it", 6, Ending),
        case("none", None, Overran),
    ],
)
def test_a_job_with_less_time_than_the_run_has_left_has_failed(deadline: int | None, state: type) -> None:
    made = {**OVERRAN, "spec": {"activeDeadlineSeconds": deadline}}
    current = CurrentAttempt(number=1, nodes=2, at="2026-01-01T00:00:00Z", deadline_seconds=3600)
    found = attempt_state(training(attempt(job_=made), status={"current": current}), NOW)
    assert isinstance(found, state)
    if isinstance(found, Ending):
        assert (found.stage, found.cause.kind) == ("settled", "Error")
        assert "was ended after 6 s (activeDeadlineSeconds), and Bramble had asked for 3600: a policy" in found.cause.message


UNREADABLE = Blocker("StoreUnavailable", "no answer")


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        case("every rank runs", training(store=UNREADABLE), type(None)),
        case("the Job succeeded, and its result may be in the store", training(attempt(job_=COMPLETE), store=UNREADABLE), type(None)),
        case("a rank failed", training(attempt(*FAILED_PODS), store=UNREADABLE), Ending),
    ],
)
def test_while_the_store_cannot_be_read(seen: Observed, state: type) -> None:
    assert isinstance(attempt_state(seen, NOW), state)


@pytest.mark.parametrize(
    ("nodes", "look_at"),
    [case("all nodes answer", NODES, None), case("a node has been silent for 12 s", SILENT, ago(-18))],
)
def test_when_to_look_again(nodes: Any, look_at: Any) -> None:
    assert attempt_state(training(nodes=nodes), NOW) == Training(look_at)


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        case("no pod is there", attempt({}, {}), "2 of 2 pods"),
        case("one is there", attempt(pod(0), {}), "1 of 2 pods"),
    ],
)
def test_pods_that_are_missing(present: AttemptSeen, missing: str) -> None:
    state = attempt_state(training(present), NOW)
    assert isinstance(state, Waiting)
    assert state.message.startswith(f"{missing} of attempt 1")
    assert not state.queued


def test_the_result_keeps_its_bytes() -> None:
    """They are filed as they are, under the digest of the inputs."""
    found = attempt_state(training(attempt(stored=stored())), NOW)
    assert isinstance(found, Trained)
    assert found.content == stored().content


def test_a_newer_pod_of_a_rank_takes_the_place_of_an_older() -> None:
    """`gather` keeps the newest pod of each rank; the state is that of these pods alone."""
    present = AttemptSeen(1, 1, attempt().job, {0: Pod.of(pod(0))}, reported={0: cause("Error", 0)})
    assert isinstance(attempt_state(training(present), NOW), Ending), "a reported cause counts even if the pod seems to run"


def test_without_an_attempt_there_is_no_job_and_no_progress() -> None:
    seen = observed()
    assert (seen.job, seen.progress) == (None, None)


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        case("the image is Bramble's own", {}, "the chart's images values"),
        case(
            "the image is the user's", {"trainer": {"container": {"image": "me/train", "command": ["x"]}}}, "spec.trainer.container.image"
        ),
    ],
)
def test_an_image_that_cannot_be_pulled(spec: dict[str, Any], remedy: str) -> None:
    pulling = pod(0, waiting={"reason": "ErrImagePull", "message": "not found"})
    state = attempt_state(training(attempt(pulling, pod(1)), spec=spec), NOW)
    assert isinstance(state, Waiting)
    assert remedy in state.message


def test_a_job_that_kueue_holds_back_is_queued() -> None:
    state = attempt_state(training(attempt({}, {}, job_=job(suspend=True))), NOW)
    assert isinstance(state, Waiting)
    assert state.queued
