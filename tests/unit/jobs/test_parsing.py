"""Jobs and pods of the API server become typed values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bramble.kinds.jobs.job import Failure, Job
from bramble.kinds.jobs.pod import Container, Disruption, End, Pod

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TIME = "2026-01-02T03:04:05Z"


def condition(type_: str, status: str = "True", **more: str) -> dict[str, str]:
    return {"type": type_, "status": status, **more}


def job(*conditions: dict[str, str], spec: dict[str, Any] | None = None, **status: Any) -> Job:
    return Job.of({"metadata": {"name": "j"}, "spec": spec or {}, "status": {"conditions": list(conditions), **status}})


TOO_LONG = {"reason": "DeadlineExceeded", "message": "too long", "lastTransitionTime": TIME}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(Job.of({"metadata": {"name": "j"}}), Job(name="j"), id="a Job that its controller has not seen yet"),
        pytest.param(job(startTime=TIME), Job(name="j", started=AT), id="a Job that has started"),
        pytest.param(job(spec={"suspend": True}), Job(name="j", suspended=True), id="a Job that Kueue holds back"),
        pytest.param(job(condition("Complete")), Job(name="j", succeeded=True), id="a Job that completed"),
        pytest.param(job(condition("SuccessCriteriaMet")), Job(name="j", succeeded=True), id="a Job that is about to complete"),
        pytest.param(job(condition("Complete", "False")), Job(name="j"), id="a condition that is False says nothing"),
        pytest.param(job(condition("Failed")), Job(name="j", failure=Failure()), id="a Job that failed, without a reason or a time"),
        pytest.param(
            job(condition("Failed", reason="later"), condition("FailureTarget", **TOO_LONG)),
            Job(name="j", failure=Failure("DeadlineExceeded", "too long", AT)),
            id="the announcement of a failure is taken before the failure itself",
        ),
    ],
)
def test_job(found: Job, expected: Job) -> None:
    assert found == expected


@pytest.mark.parametrize(
    ("failure", "overran"),
    [
        pytest.param(None, False, id="a Job that has not failed"),
        pytest.param(Failure("BackoffLimitExceeded"), False, id="a Job that failed by its pod"),
        pytest.param(Failure("DeadlineExceeded"), True, id="a Job that ran too long"),
    ],
)
def test_overran(failure: Failure | None, overran: bool) -> None:
    assert Job(name="j", failure=failure).overran is overran


def pod(metadata: dict[str, Any] | None = None, node: str | None = None, **status: Any) -> Pod:
    return Pod.of({"metadata": {"name": "p", **(metadata or {})}, "spec": {"nodeName": node}, "status": status})


INDEX = "batch.kubernetes.io/job-completion-index"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(Pod.of({"metadata": {"name": "p"}}), Pod(name="p"), id="a pod that was only just made"),
        pytest.param(pod(node="n1", phase="Running"), Pod(name="p", node="n1", phase="Running"), id="a pod on a node"),
        pytest.param(pod({"labels": {INDEX: "0"}}), Pod(name="p", rank=0), id="rank 0 by label"),
        pytest.param(pod({"annotations": {INDEX: "2"}}), Pod(name="p", rank=2), id="rank 2 by annotation, as older clusters have it"),
        pytest.param(pod({"deletionTimestamp": TIME}), Pod(name="p", deleted=AT), id="a pod that somebody deleted"),
        pytest.param(
            pod({"deletionTimestamp": TIME, "deletionGracePeriodSeconds": 5}),
            Pod(name="p", deleted=AT - timedelta(seconds=5)),
            id="a pod that somebody deleted, and that has a grace period",
        ),
        pytest.param(
            pod(conditions=[condition("PodScheduled", "False", message="0/3 nodes")]),
            Pod(name="p", unschedulable="0/3 nodes"),
            id="a pod that no node takes",
        ),
        pytest.param(pod(conditions=[condition("PodScheduled")]), Pod(name="p"), id="a pod that a node took"),
        pytest.param(
            pod(conditions=[condition("DisruptionTarget", reason="EvictionByEvictionAPI", message="drained")]),
            Pod(name="p", disruption=Disruption("EvictionByEvictionAPI", "drained")),
            id="a pod that the cluster takes away",
        ),
        pytest.param(
            pod(conditions=[condition("DisruptionTarget", lastTransitionTime=TIME)]),
            Pod(name="p", disruption=Disruption(at=AT)),
            id="a pod that the cluster takes away since then",
        ),
        pytest.param(pod(conditions=[condition("DisruptionTarget", "False")]), Pod(name="p"), id="a pod that the cluster leaves alone"),
    ],
)
def test_pod(found: Pod, expected: Pod) -> None:
    assert found == expected


@pytest.mark.parametrize(
    ("state", "expected", "started"),
    [
        pytest.param({"running": {}}, Container(name="c", running=True), True, id="a container that runs"),
        pytest.param({"waiting": {}}, Container(name="c"), False, id="a container that waits and does not say for what"),
        pytest.param(
            {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
            Container(name="c", waiting="ErrImagePull", message="not found"),
            False,
            id="a container that waits",
        ),
        pytest.param(
            {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "{}", "finishedAt": TIME}},
            Container(name="c", end=End(code=137, reason="OOMKilled", message="{}", at=AT)),
            True,
            id="a container that ended",
        ),
        pytest.param({"terminated": {"exitCode": 0}}, Container(name="c", end=End(code=0)), True, id="an end without a time"),
        pytest.param({}, Container(name="c"), False, id="a container of which nothing is known"),
    ],
)
@pytest.mark.parametrize("field", ["containerStatuses", "initContainerStatuses"])
def test_containers(state: dict[str, Any], expected: Container, started: bool, field: str) -> None:
    status: dict[str, Any] = {field: [{"name": "c", "state": state}]}
    found = pod(**status)
    assert (found.containers, found.has_started("c"), found.end("c")) == ((expected,), started, expected.end)
    assert not found.has_started("another")


def test_a_container_has_its_image_and_init_containers_come_first() -> None:
    first, second = {"name": "fetch", "image": "a@sha256:1"}, {"name": "train", "image": "b@sha256:2"}
    found = pod(containerStatuses=[second], initContainerStatuses=[first])
    assert found.containers == (Container(name="fetch", image="a@sha256:1"), Container(name="train", image="b@sha256:2"))
    assert found.container("train") == found.containers[1]
    assert found.container("another") is None
