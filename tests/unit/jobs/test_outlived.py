"""Jobs that go on although their attempt is over, because something else's container in their pods does not end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bramble.api.conditions import rfc3339
from bramble.api.labels import ATTEMPT, OWNER_UID, STEP
from bramble.kinds.jobs.outlived import Outlived, due, next_due, outlived_jobs
from bramble.kinds.jobs.step import Owner
from bramble.kinds.plan import Plan
from bramble.kube.resources import JOB, Manifest, Resource

OWNER = Owner("Dataset", "ads", "tape", "u-1")
ENDED = datetime(2026, 1, 1, 12, tzinfo=UTC)
DONE = {"terminated": {"exitCode": 0, "finishedAt": "2026-01-01T12:00:00Z"}}
RUNS: dict[str, Any] = {"running": {}}


def labels(step: str = "snapshot", attempt: int = 2) -> dict[str, str]:
    return {OWNER_UID: "u-1", STEP: step, ATTEMPT: str(attempt)}


def job(*conditions: str, attempt: int = 2, **metadata: Any) -> Manifest:
    stated = [{"type": type_, "status": "True"} for type_ in conditions]
    named = {"name": f"tape-snapshot-{attempt}", "namespace": "ads", "uid": f"u-{attempt}", "labels": labels(attempt=attempt), **metadata}
    return {"kind": "Job", "metadata": named, "status": {"conditions": stated}}


def pod(step: dict[str, Any], mesh: dict[str, Any] = RUNS, phase: str = "Running") -> Manifest:
    statuses = [{"name": "step", "state": step}, {"name": "mesh", "state": mesh}]
    return {"kind": "Pod", "metadata": {"name": "p", "labels": labels()}, "status": {"phase": phase, "containerStatuses": statuses}}


class Cluster:
    """These Jobs and pods."""

    def __init__(self, *objects: Manifest, seconds: float = 0) -> None:
        self.objects, self.seconds = objects, seconds

    def elapsed(self, uid: str, measured: dict[str, float]) -> dict[str, float]:
        assert uid == OWNER.uid
        return dict.fromkeys(measured, self.seconds)

    def list(self, resource: Resource, namespace: str | None = None, labels: Any = None) -> tuple[Manifest, ...]:
        assert namespace == "ads"
        return tuple(
            each for each in self.objects if each["kind"] == resource.kind and labels.items() <= each["metadata"]["labels"].items()
        )


@pytest.mark.parametrize(
    ("objects", "over", "names"),
    [
        pytest.param((job(), pod(DONE)), {"snapshot": 2}, ["tape-snapshot-2"], id="its container has ended, and the mesh's goes on"),
        pytest.param((job("FailureTarget"), pod(DONE)), {"snapshot": 2}, ["tape-snapshot-2"], id="it only announces its end"),
        pytest.param((job(), pod(DONE)), {}, [], id="its outcome is not recorded yet"),
        pytest.param((job(), pod(DONE)), {"snapshot": 3}, [], id="it belongs to another attempt"),
        pytest.param((job("Complete"), pod(DONE)), {"snapshot": 2}, [], id="it is complete"),
        pytest.param((job("Failed"), pod(DONE)), {"snapshot": 2}, [], id="it has failed"),
        pytest.param((job(deletionTimestamp="2026-01-01T12:00:00Z"), pod(DONE)), {"snapshot": 2}, [], id="it is being deleted"),
        pytest.param((job(), pod(DONE, DONE, "Succeeded")), {"snapshot": 2}, [], id="its pod has ended, and it will end at once"),
        pytest.param((job(), pod(RUNS)), {"snapshot": 2}, [], id="its container goes on"),
    ],
)
def test_which_jobs_have_outlived_their_attempt(objects: tuple[Manifest, ...], over: dict[str, int], names: list[str]) -> None:
    sources: Any = Cluster(*objects)
    found = outlived_jobs(sources, OWNER, over, ("train", "step"))
    assert [each.job.key.name for each in found] == names
    assert all(each.job.key.kind == JOB.kind for each in found)


@pytest.mark.parametrize("hours", [-6, 0, 6], ids=lambda hours: f"the node's clock is {hours} h ahead")
def test_it_is_deleted_once_its_time_is_over(hours: int) -> None:
    ended = {"terminated": {"exitCode": 0, "finishedAt": rfc3339(ENDED + timedelta(hours=hours))}}

    def outlived(seconds: float) -> tuple[Outlived, ...]:
        sources: Any = Cluster(job(), pod(ended), seconds=seconds)
        return outlived_jobs(sources, OWNER, {"snapshot": 2}, ("step",))

    assert (due(outlived(29)), len(due(outlived(30)))) == ((), 1)
    assert (next_due(outlived(10), ENDED), next_due((), ENDED)) == (ENDED + timedelta(seconds=20), None)


@pytest.mark.parametrize(
    ("planned", "other", "expected"),
    [
        pytest.param(None, None, None, id="nothing is waited for"),
        pytest.param(ENDED, None, ENDED, id="only the plan's time"),
        pytest.param(None, ENDED, ENDED, id="only the other time"),
        pytest.param(ENDED, ENDED - timedelta(seconds=1), ENDED - timedelta(seconds=1), id="the earlier of both"),
    ],
)
def test_a_plan_is_looked_at_again_by_the_earlier_time(planned: Any, other: Any, expected: Any) -> None:
    assert Plan(wake_at=planned).no_later_than(other) == Plan(wake_at=expected)
