"""An attempt that cannot begin to train does not hold nodes for ever, and uses up neither budget nor deadline."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.api.conditions import rfc3339
from bramble.kinds.trainingrun.plan import plan
from bramble.kinds.trainingrun.policies.begin import RELEASED_SECONDS, begin
from bramble.kinds.trainingrun.policies.release_part import release_part
from tests.unit.trainingrun.seen import NODES, NOW, PIN, ago, attempt, case, condition, job, message, observed, pod, remembered, training

QUOTA = 'FailedCreate: Error creating: pods "run-train-1-1-x" is forbidden: exceeded quota: tenant'
STARTING = {"reason": "ContainerCreating"}
NOWHERE = {"type": "PodScheduled", "status": "False", "message": "0/5 nodes are available: 1 Insufficient nvidia.com/gpu."}
PULLING = {"reason": "ImagePullBackOff", "message": "not found"}
NO_SECRET = {"reason": "CreateContainerConfigError", "message": 'secret "bramble-store" not found'}
CRASHES = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container=sidecar"}
UNSCHEDULED = pod(1, node="", phase="Pending", conditions=(NOWHERE,), waiting={})
BOTH_START = tuple(pod(rank, waiting=STARTING) for rank in (0, 1))
FETCHING = (pod(0, container="fetch"), pod(1, waiting=STARTING))
NO_VOLUME = 'FailedMount: MountVolume.SetUp failed for volume "store" : secret "bramble-store" not found'


def bound(seconds: float) -> dict[str, Any]:
    return {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(ago(seconds))}


def no_sandbox(seconds: float) -> dict[str, Any]:
    """No volume of the pod is mounted, since so long."""
    return {"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": rfc3339(ago(seconds))}


def fetched(seconds: float, *, ended: float, waiting: dict[str, str]) -> dict[str, Any]:
    """Rank 1 fetched its data for so long, until `ended` seconds ago; its sidecar waits."""
    made = pod(1, 0, container="fetch", ended=ended, conditions=(bound(seconds + ended),))
    made["status"]["initContainerStatuses"].append({"name": "sidecar", "state": {"waiting": waiting}})
    return made


def without_config_map(*pods: dict[str, Any], started: float) -> Any:
    return training(attempt(*pods, job_=job(started=started), begun=False))


def nowhere(started: float, deadline: int, *more: dict[str, Any]) -> Any:
    """No pod of the attempt has a node; its Job started so long ago and has so long a deadline."""
    pods = more or ({**UNSCHEDULED, "metadata": pod(0)["metadata"]}, UNSCHEDULED)
    return training(attempt(*pods, job_={**job(started=started), "spec": {"activeDeadlineSeconds": deadline}}))


def part(*pods: dict[str, Any], started: float, warning: str = "", deadline: int | None = None) -> Any:
    made = {**job(started=started), "spec": {"activeDeadlineSeconds": deadline}}
    return training(attempt(*(pods or (pod(0), {})), job_=made, warning=warning))


@pytest.mark.parametrize(
    "seen",
    [
        case("every rank runs", training()),
        case("the quota refuses a pod, since less than a minute", part(started=59, warning=QUOTA)),
        case("no pod is refused: the Job controller has not made it yet", part(started=999)),
        case("the quota refuses every pod, so nothing is held", part({}, {}, started=999, warning=QUOTA)),
        case("the other pod waits for a node, since less than five minutes", part(pod(0), UNSCHEDULED, started=299)),
        case("no pod has a node", part({**UNSCHEDULED, "metadata": pod(0)["metadata"]}, UNSCHEDULED, started=999)),
        case("a pod has a node and starts slowly", part(pod(0), pod(1, waiting=STARTING), started=999)),
        case("no pod has a node, and the Job's deadline is more than two minutes away", nowhere(3479, 3600)),
        case("the deadline has passed, and the pods are gone: they may have trained", part({}, {}, started=3601, deadline=3600)),
        case(
            "the deadline has passed, and the pods are deleted",
            nowhere(3601, 3600, *(pod(rank, waiting=STARTING, deleted=1) for rank in (0, 1))),
        ),
        case("the deadline is near, and a pod fetches data", nowhere(3599, 3600, pod(0, container="fetch"), pod(1, waiting=STARTING))),
        case(
            "the image cannot be pulled, since less than ten minutes",
            part(pod(0), pod(1, waiting=PULLING, conditions=(bound(599),)), started=999),
        ),
        case(
            "a volume cannot be mounted, since less than ten minutes",
            part(pod(0), pod(1, waiting=STARTING, conditions=(bound(999), no_sandbox(599))), started=999),
        ),
        case(
            "a pod got its node just now, and the clock of the node is an hour behind",
            part(*(pod(rank, waiting=STARTING, conditions=(bound(9), no_sandbox(3600))) for rank in (0, 1)), started=9),
        ),
        case(
            "the data was fetched for a quarter of an hour, and the sidecar fails for the first time",
            part(pod(0), fetched(900, ended=5, waiting=CRASHES), started=905),
        ),
        case("somebody deletes the ConfigMap of pods that fetch data: it is made again", without_config_map(*FETCHING, started=999)),
        case("there is no ConfigMap, since less than a minute", without_config_map(*BOTH_START, started=59)),
        case("there is no ConfigMap, and no pod that holds a node", without_config_map({}, {}, started=999)),
        case("Kueue holds the Job back", training(attempt(pod(0), {}, job_=job(suspend=True), warning=QUOTA))),
    ],
)
def test_an_attempt_that_goes_on(seen: Any) -> None:
    assert release_part(seen, NOW) is None


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        case("the quota has refused a pod for a minute", part(started=60, warning=QUOTA), "exceeded quota: tenant"),
        case("no node has taken the other pod for five minutes", part(pod(0), UNSCHEDULED, started=300), "1 Insufficient nvidia.com/gpu"),
        case(
            "no image for ten minutes: every pod holds its node",
            part(*(pod(rank, waiting=PULLING, conditions=(bound(600),)) for rank in (0, 1)), started=999),
            "cannot be pulled (ImagePullBackOff: not found)",
        ),
        case(
            "the API server does not say since when the pod has its node, and its Job started ten minutes ago",
            part(pod(0), pod(1, waiting=PULLING), started=600),
            "cannot be pulled (ImagePullBackOff: not found)",
        ),
        case(
            "a Secret has been missing for ten minutes",
            part(pod(0, waiting=NO_SECRET, conditions=(bound(600),)), pod(1, waiting=NO_SECRET, conditions=(bound(600),)), started=999),
            'secret "bramble-store" not found',
        ),
        case(
            "a volume has not been mounted for ten minutes, and the other pod starts",
            part(pod(0, waiting=STARTING), pod(1, waiting=STARTING, conditions=(no_sandbox(600),)), started=999, warning=NO_VOLUME),
            f"pod run-train-1-1-x does not start on node gpu-2 ({NO_VOLUME})",
        ),
        case(
            "the sidecar has failed again and again for ten minutes",
            part(*(pod(rank, container="sidecar", waiting=CRASHES, conditions=(bound(600),)) for rank in (0, 1)), started=999),
            "pod run-train-1-0-x",
        ),
        case(
            "no volume for ten minutes, and the clock of the node is an hour ahead",
            part(*(pod(rank, waiting=STARTING, conditions=(bound(600), no_sandbox(-3600))) for rank in (0, 1)), started=999),
            "pod run-train-1-0-x",
        ),
        case(
            "the data was fetched ten minutes ago, and the sidecar fails again and again",
            part(pod(0), fetched(900, ended=600, waiting=CRASHES), started=1500),
            "pod run-train-1-1-x",
        ),
        case("there has been no ConfigMap for a minute", without_config_map(*BOTH_START, started=60), "pod run-train-1-0-x starts"),
        case("no pod has had a node, and the Job's deadline is near", nowhere(3480, 3600), "1 Insufficient nvidia.com/gpu"),
        case("the same where the deadline is short", nowhere(48, 60), "1 Insufficient nvidia.com/gpu"),
        case(
            "every pod was refused, and the Job's deadline is near",
            part({}, {}, started=3480, warning=QUOTA, deadline=3600),
            "2 of 2 pods of attempt 1",
        ),
    ],
)
def test_an_attempt_that_is_ended(seen: Any, why: str) -> None:
    made = plan(seen, NOW)
    memory = remembered(made)
    assert "current" not in memory, "its Job and its pods are deleted with the next pass"
    assert (memory.get("failures", 0), memory.get("disruptions", 0), memory.get("spentSeconds", 0)) == (0, 0, 0), "no budget is charged"
    assert "firstCause" not in memory
    assert memory["released"]["times"] == 1
    assert why in memory["released"]["message"]
    assert condition(made) == ("False", "Incomplete")
    assert why in message(made)


def test_the_reason_stands_in_the_condition_before_that_and_is_looked_for_again() -> None:
    made = plan(part(started=20, warning=QUOTA), NOW)
    assert condition(made) == ("False", "PodsRefused")
    assert "1 of 2 pods of attempt 1 are not there yet (FailedCreate: " in message(made)
    assert made.wake_at == NOW + timedelta(seconds=4)
    assert plan(part(started=59, warning=QUOTA), NOW).wake_at == NOW + timedelta(seconds=1), "it is ended in time"


def test_an_attempt_whose_image_cannot_be_pulled_is_ended_in_time() -> None:
    made = plan(part(pod(0), pod(1, waiting=PULLING, conditions=(bound(597),)), started=999), NOW)
    assert condition(made) == ("False", "Starting")
    assert made.wake_at == NOW + timedelta(seconds=3)


def waiting(times: int, seconds: float) -> Any:
    released = {"times": times, "message": "1 of 2 pods are not there"}
    status = {"dataset": PIN, "attempt": 1, "ended_at": rfc3339(ago(seconds)), "released": released}
    return observed(status=status, nodes=NODES)


@pytest.mark.parametrize(("times", "least"), [(1, 30), (2, 60), (7, 1800), (99, 1800)])
def test_the_next_attempt_waits_longer_each_time(times: int, least: int) -> None:
    made = begin(waiting(times, 0), NOW)
    assert made is not None
    assert made.wake_at is not None
    assert timedelta(seconds=least) <= made.wake_at - NOW < timedelta(seconds=least + RELEASED_SECONDS)
    assert condition(made) == ("False", "Incomplete")
    assert "attempt 1 did not begin to train: 1 of 2 pods are not there" in message(made)
    begun = remembered(begin(waiting(times, least + RELEASED_SECONDS), NOW))
    assert begun["attempt"] == 2
    assert begun["released"]["times"] == times, "until an attempt ends in another way, the next wait is longer"


def test_an_attempt_that_ends_in_another_way_begins_the_count_anew() -> None:
    seen = training(attempt(pod(0), pod(1, 1)), status={"released": {"times": 3, "message": "x"}})
    assert "released" not in remembered(plan(seen, NOW))


def test_a_job_that_never_had_a_pod_has_not_used_up_the_deadline() -> None:
    """Its own deadline counts from its creation, also while a quota refuses every pod."""
    never = job(("Failed", "DeadlineExceeded"))
    del never["status"]["failed"]
    memory = remembered(plan(training(attempt({}, {}, job_=never)), NOW))
    assert "outcome" not in memory
    assert memory.get("spentSeconds", 0) == 0
    assert memory["released"]["message"] == "none of the 2 pods of attempt 1 was admitted"
    why = {"type": "Ready", "status": "False", "reason": "PodsRefused", "message": f"2 of 2 pods are not there yet ({QUOTA})"}
    why["lastTransitionTime"] = rfc3339(ago(60))
    told = remembered(plan(training(attempt({}, {}, job_=never), status={"conditions": (why,)}), NOW))
    assert told["released"]["message"].endswith(f"was admitted: {why['message']}")
    ran = remembered(plan(training(attempt({}, {}, job_=job(("Failed", "DeadlineExceeded")))), NOW))
    assert ran["outcome"]["reason"] == "DeadlineExceeded"
