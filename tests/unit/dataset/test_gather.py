"""What is read of a Dataset in each of its states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from bramble.api.dataset import KIND
from bramble.api.labels import ATTEMPT, MANAGED_BY_BRAMBLE, OWNER_UID, STEP
from bramble.api.objects import Invalid, Object, parse
from bramble.contracts.jobs.base import Gateway
from bramble.errors import StoreUnavailable
from bramble.kinds.blockers import Blocker
from bramble.kinds.dataset.controller import CONTROLLER
from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.plan import plan
from bramble.kinds.dataset.render import inputs_of
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.stale_children import Child
from bramble.kinds.plan import Delete
from bramble.kube.resources import Key
from tests.unit.dataset.observed import NOW, SPEC, V1, observed, says
from tests.unit.engine.replica import SETTINGS, FakeStore
from tests.unit.jobs.reading import BlockedStore, BrokenStore, gathered
from tests.unit.jobs.seen import outlived_for

row = pytest.param
KEY = Key("Dataset", "ads", "tape")
PROBLEM = Blocker("StoreMissing", "namespace ads has no Secret bramble-store")
RECORDED = {"attempt": 2, "version": V1, "versions": [{"version": V1, "attempt": 2, "samples": 3, "at": "2026-01-01T00:00:00Z"}]}


def dataset(status: Mapping[str, Any], spec: Mapping[str, Any] = SPEC, **metadata: Any) -> dict[str, Any]:
    named = {"name": "tape", "namespace": "ads", "uid": "uid-1", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1, **metadata}
    return {"apiVersion": "bramble.dev/v1alpha1", "kind": "Dataset", "metadata": named, "spec": spec, "status": status}


def job(attempt: int, namespace: str = "ads") -> dict[str, Any]:
    name = f"tape-snapshot-{attempt}"
    labels = {**MANAGED_BY_BRAMBLE, OWNER_UID: "uid-1", STEP: "snapshot", ATTEMPT: str(attempt)}
    return {"kind": "Job", "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}-{namespace}", "labels": labels}}


FIRST = Child(Key("Job", "ads", "tape-snapshot-1"), "uid-tape-snapshot-1-ads", "snapshot", 1)
SECOND = StepSeen(job=Job(name="tape-snapshot-2"))


@pytest.mark.parametrize(
    ("status", "store", "expected"),
    [
        row({}, BlockedStore(PROBLEM), {"stale_children": ()}, id="before the first attempt nothing is read"),
        row(RECORDED, BlockedStore(PROBLEM), {"stale_children": (FIRST,)}, id="a recorded attempt does not need the store"),
        row({"attempt": 2}, FakeStore(), {"stale_children": (FIRST,), "snapshot": SECOND}, id="the present attempt is read"),
        row({"attempt": 2}, BlockedStore(PROBLEM), {"stale_children": (FIRST,), "store": PROBLEM}, id="the store cannot be used"),
    ],
)
async def test_what_is_read(status: dict[str, Any], store: FakeStore, expected: dict[str, Any]) -> None:
    there = dataset(status)
    seen = await gathered(CONTROLLER, KEY, [there, *([job(1), job(1, "other"), job(2)] if status else [])], store)
    parsed = parse(KIND, {**there, "metadata": {**there["metadata"], "resourceVersion": seen.dataset.metadata.resource_version}})
    assert isinstance(parsed, Object)
    assert seen == Observed(
        dataset=parsed, image=SETTINGS.images_convert, gateway=Gateway(url=SETTINGS.gateway_url), gateway_ca="", **expected
    )


async def test_the_store_of_its_own_namespace_is_asked() -> None:
    store = BlockedStore(PROBLEM)
    await gathered(CONTROLLER, KEY, [dataset({"attempt": 2})], store)
    assert store.asked == ["ads"]


async def test_a_dataset_that_is_gone_cannot_be_used_or_is_being_deleted() -> None:
    assert await gathered(CONTROLLER, KEY, []) is None
    assert isinstance(await gathered(CONTROLLER, KEY, [dataset({}, {**SPEC, "checks": {"classPattern": "["}})]), Invalid)
    leaving = await gathered(CONTROLLER, KEY, [dataset({"attempt": 2}, deletionTimestamp="2026-01-02T00:00:00Z"), job(1), job(2)])
    assert (leaving.stale_children, leaving.snapshot) == ((), None)


async def test_a_store_that_falls_silent_after_it_was_tried_is_told() -> None:
    status = {"attempt": 1, "inputs": inputs_of(observed().dataset.spec)}
    told = plan(await gathered(CONTROLLER, KEY, [dataset(status)], BrokenStore(StoreUnavailable("no answer"))), NOW)
    assert says(told) == ("False", "StoreUnavailable")
    assert told.wake_at is not None


def held(job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """This Job with a pod whose container has ended, and into which something else has put one that goes on."""
    done = {"name": "step", "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-01-01T00:00:00Z"}}}
    status = {"phase": "Running", "containerStatuses": [done, {"name": "mesh", "state": {"running": {}}}]}
    metadata = {"name": "p", "namespace": "ads", "uid": "uid-p", "labels": job["metadata"]["labels"]}
    return job, {"kind": "Pod", "metadata": metadata, "spec": {}, "status": status}


@pytest.mark.parametrize(
    ("status", "outlived"),
    [
        row(RECORDED, ["tape-snapshot-2"], id="its result is recorded"),
        row({"attempt": 2, "firstCause": {"kind": "BadData", "message": "x"}}, ["tape-snapshot-2"], id="it was given up"),
        row({"attempt": 2, "firstCause": {"kind": "Error", "message": "x"}}, [], id="it is the next attempt, which is under way"),
    ],
)
async def test_a_job_whose_pod_is_kept_alive_is_deleted_once_its_outcome_is_recorded(status: dict[str, Any], outlived: list[str]) -> None:
    whole = {"inputs": inputs_of(observed().dataset.spec), **status}
    seen = await gathered(CONTROLLER, KEY, [dataset(whole), *held(job(2))])
    assert [each.job.key.name for each in seen.outlived] == outlived
    assert [item.key.name for item in plan(outlived_for(seen, 30), NOW).items if isinstance(item, Delete)] == outlived
    if outlived:
        before = plan(outlived_for(seen, 21), NOW)
        assert (before.items, before.wake_at) == ((), NOW + timedelta(seconds=9))
