"""A Job that does not start: of what object the warnings are read, whether it is outdated, and how soon it is looked at again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bramble.errors import Refused
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.pod import Container, Pod
from bramble.kinds.jobs.refusal import Containers
from bramble.kinds.jobs.waiting import is_outdated, look_again, read_warning
from bramble.kinds.plan import CreateOnce, manifest_digest

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOB = Job(name="j", uid="u-job")
STEP = Containers(init=(), main=("step",), fields={"step": "spec.jobs.resources.snapshot"})
RUNS = Pod(name="p", uid="u-runs", node="n1", containers=(Container(name="step", running=True),))
STARTS = Pod(name="p", uid="u-starts", node="n1")
NOWHERE = Pod(name="p", uid="u-nowhere")
STUCK = Pod(name="p", uid="u-stuck", node="n1", no_sandbox_since=NOW)


class Events:
    """Says which object it was asked for."""

    async def warning(self, namespace: str, uid: str) -> str:
        return f"{namespace}/{uid}"


@pytest.mark.parametrize(
    ("job", "pods", "wanted", "asked"),
    [
        pytest.param(None, (), 1, "", id="there is no Job"),
        pytest.param(replace(JOB, suspended=True), (), 1, "", id="Kueue holds it back"),
        pytest.param(JOB, (), 1, "ads/u-job", id="it has no pod"),
        pytest.param(JOB, (RUNS,), 2, "ads/u-job", id="it has a part of its pods"),
        pytest.param(JOB, (RUNS, STARTS), 2, "ads/u-starts", id="a pod has a node and does not start"),
        pytest.param(JOB, (STARTS, STUCK), 2, "ads/u-stuck", id="one of two pods is stuck"),
        pytest.param(JOB, (NOWHERE,), 1, "", id="a pod has no node, which its own condition explains"),
        pytest.param(JOB, (RUNS, RUNS), 2, "", id="everything runs"),
    ],
)
async def test_whose_warnings_are_read(job: Job | None, pods: tuple[Pod, ...], wanted: int, asked: str) -> None:
    sources: Any = Events()
    assert await read_warning(sources, "ads", job, pods, STEP, wanted) == asked


class EventsAlone:
    """The operator may read Events, and list no LimitRanges."""

    async def warning(self, *_: str) -> str:
        return "FailedCreate: maximum cpu usage per Container is 1, but limit is 2"

    async def limit_ranges(self, *_: str) -> tuple[Any, ...]:
        raise Refused("limitranges is forbidden")


async def test_a_warning_is_read_without_the_right_to_list_limit_ranges() -> None:
    sources: Any = EventsAlone()
    assert "maximum cpu usage per Container is 1" in await read_warning(sources, "ads", JOB, (), STEP)


@pytest.mark.parametrize(("age", "wait"), [(0, 2), (9, 2), (20, 4), (100, 20), (9999, 60)], ids=lambda seconds: f"{seconds} s")
def test_how_soon_it_is_looked_at_again(age: int, wait: int) -> None:
    assert look_again(NOW - timedelta(seconds=age), NOW) == NOW + timedelta(seconds=wait)
    assert look_again(None, NOW) is None


WANTED = {"kind": "Job", "spec": {"x": 1}}
CONFIG_MAP = CreateOnce({"kind": "ConfigMap", "data": {}})
OTHERWISE = Job(name="j", had_pods=False, applied="another digest")


@pytest.mark.parametrize(
    ("job", "pods", "outdated"),
    [
        pytest.param(OTHERWISE, (), True, id="it never had a pod and would be made otherwise now"),
        pytest.param(replace(OTHERWISE, applied=manifest_digest(WANTED)), (), False, id="it would be made so again"),
        pytest.param(replace(OTHERWISE, applied=""), (), False, id="an earlier operator made it"),
        pytest.param(replace(OTHERWISE, suspended=True), (), False, id="Kueue holds it back: it keeps its place in the queue"),
        pytest.param(replace(OTHERWISE, had_pods=True), (), False, id="it had a pod, which is not there any more"),
        pytest.param(replace(OTHERWISE, had_pods=True), (NOWHERE,), True, id="no node takes its pod"),
        pytest.param(replace(OTHERWISE, had_pods=True), (STARTS,), True, id="its pod has a node and does not start"),
        pytest.param(replace(OTHERWISE, had_pods=True), (RUNS,), False, id="it runs"),
        pytest.param(OTHERWISE, (RUNS,), False, id="it runs, and the Job does not count its pod yet"),
        pytest.param(None, (), False, id="there is no Job"),
    ],
)
def test_whether_a_job_is_outdated(job: Job | None, pods: tuple[Pod, ...], outdated: bool) -> None:
    assert is_outdated(job, pods, ("step",), (CreateOnce(WANTED), CONFIG_MAP)) is outdated
