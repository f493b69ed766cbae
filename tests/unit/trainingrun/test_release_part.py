"""An attempt that gets only a part of its pods does not hold nodes for ever."""

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
UNSCHEDULED = pod(1, node="", phase="Pending", conditions=(NOWHERE,), waiting={})


def part(*pods: dict[str, Any], started: float, warning: str = "", **more: Any) -> Any:
    return training(attempt(*(pods or (pod(0), {})), job_=job(started=started), warning=warning), **more)


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
    assert "attempt 1 got only a part of its pods: 1 of 2 pods are not there" in message(made)
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
