"""Which Job a pod belongs to: every broken link of the chain is a refusal."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from bramble.gateway.identity import Caller
from bramble.gateway.jobs import REFUSED_SECONDS, Jobs
from bramble.gateway.refusals import Forbidden
from tests.unit.gateway.fakes import JOB_POD, OWNER, FakeApi, benchmark_job, caller, other_job_file, put_job, ref

CALLER = caller(JOB_POD)


def changed(kind: str, change: Callable[[dict[str, Any]], None]) -> FakeApi:
    """A whole chain with one object of it changed."""
    api = FakeApi()
    put_job(api)
    key = next(key for key in api.objects if key[0] == kind)
    api.objects[key] = copy.deepcopy(api.objects[key])
    change(api.objects[key])
    return api


def without(kind: str) -> FakeApi:
    api = FakeApi()
    put_job(api)
    del api.objects[next(key for key in api.objects if key[0] == kind)]
    return api


def pod(change: Callable[[dict[str, Any]], None]) -> FakeApi:
    return changed("Pod", change)


def job(change: Callable[[dict[str, Any]], None]) -> FakeApi:
    return changed("Job", change)


def set_label(name: str, value: str) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["metadata"]["labels"].update({f"bramble.dev/{name}": value})


def told(**changes: Any) -> FakeApi:
    api = FakeApi()
    put_job(api)
    other_job_file(api, benchmark_job(**changes))
    return api


async def test_a_pod_of_a_job_of_ours_speaks_for_its_object() -> None:
    api = FakeApi()
    put_job(api)
    found = await Jobs(api).of(CALLER)
    assert (found.ref, found.step, found.job, found.node) == (OWNER.ref, "benchmark-virtual", benchmark_job(), "pi-0")


def mutable(manifest: dict[str, Any]) -> None:
    manifest["immutable"] = False


def of_nobody(manifest: dict[str, Any]) -> None:
    manifest["metadata"]["ownerReferences"] = []


def of_another(manifest: dict[str, Any]) -> None:
    manifest["metadata"]["ownerReferences"][0]["uid"] = "uid-of-another"


def not_controlling(manifest: dict[str, Any]) -> None:
    manifest["metadata"]["ownerReferences"][0]["controller"] = False


def of_another_group(manifest: dict[str, Any]) -> None:
    manifest["metadata"]["ownerReferences"][0]["apiVersion"] = "example.com/v1"


def of_a_replica_set(manifest: dict[str, Any]) -> None:
    manifest["metadata"]["ownerReferences"][0].update(kind="ReplicaSet", apiVersion="apps/v1")


@pytest.mark.parametrize(
    "api",
    [
        pytest.param(without("Pod"), id="the pod is gone"),
        pytest.param(pod(lambda manifest: manifest["metadata"].update(uid="made anew")), id="another pod of that name"),
        pytest.param(pod(of_nobody), id="a bare pod"),
        pytest.param(pod(not_controlling), id="a reference that does not control"),
        pytest.param(pod(of_another), id="a Job of that name made anew"),
        pytest.param(pod(of_a_replica_set), id="a pod of a Deployment"),
        pytest.param(without("Job"), id="the Job is gone"),
        pytest.param(job(of_nobody), id="a Job that somebody made by hand"),
        pytest.param(job(of_another_group), id="a Job of another operator"),
        pytest.param(job(of_another), id="its labels name another object than its reference"),
        pytest.param(job(set_label("owner-name", "another")), id="its labels name an object that does not own it"),
        pytest.param(job(set_label("attempt", "2")), id="another attempt than its job.json"),
        pytest.param(without("ConfigMap"), id="no job.json"),
        pytest.param(changed("ConfigMap", mutable), id="a job.json that could be changed"),
        pytest.param(changed("ConfigMap", of_nobody), id="a job.json that somebody made by hand"),
        pytest.param(changed("ConfigMap", lambda manifest: manifest["data"].update({"job.json": "{}"})), id="a job.json that says nothing"),
        pytest.param(told(object=ref(name="another")), id="a job.json of another object"),
        pytest.param(told(object=ref(namespace="other")), id="a job.json of another namespace"),
        pytest.param(told(attempt=2), id="a job.json of another attempt"),
    ],
)
async def test_a_broken_chain_is_refused(api: FakeApi) -> None:
    with pytest.raises(Forbidden):
        await Jobs(api).of(CALLER)


async def test_a_job_of_a_later_release_is_known_by_what_this_gateway_reads_of_it() -> None:
    api = FakeApi()
    put_job(api)
    config_map = next(manifest for key, manifest in api.objects.items() if key[0] == "ConfigMap")
    config_map["data"]["job.json"] = json.dumps({**json.loads(config_map["data"]["job.json"]), "ofALaterRelease": 1})
    assert (await Jobs(api).of(CALLER)).ref == ref()


@pytest.mark.parametrize(
    "caller",
    [Caller("ads", "default"), Caller("ads", "default", node="pi-0"), Caller("other", "default", "pi-0", CALLER.pod, CALLER.pod_uid)],
    ids=["bound to nothing", "bound to a node alone", "a pod of that name in another namespace"],
)
async def test_a_token_of_no_such_pod_is_refused(caller: Caller) -> None:
    api = FakeApi()
    put_job(api)
    with pytest.raises(Forbidden):
        await Jobs(api).of(caller)


async def test_a_chain_is_read_once_a_minute_and_a_deleted_job_loses_its_rights() -> None:
    api, now = FakeApi(), [0.0]
    put_job(api)
    jobs = Jobs(api, lambda: now[0])
    await jobs.of(CALLER)
    reads = api.reads
    await jobs.of(CALLER)
    assert api.reads == reads
    del api.objects[next(key for key in api.objects if key[0] == "Job")]
    now[0] = 61.0
    with pytest.raises(Forbidden):
        await jobs.of(CALLER)


class SlowApi(FakeApi):
    """Does not answer at once."""

    async def get(self, *args: Any) -> Any:
        await asyncio.sleep(0)
        return await super().get(*args)


async def test_a_pod_of_nobody_is_read_once_in_five_seconds_however_often_it_calls() -> None:
    api, now = SlowApi(), [0.0]
    put_job(api)
    of_nobody(next(manifest for key, manifest in api.objects.items() if key[0] == "Pod"))
    jobs = Jobs(api, lambda: now[0])
    refusals = await asyncio.gather(*(jobs.of(CALLER) for _ in range(10)), return_exceptions=True)
    assert {type(each) for each in refusals} == {Forbidden}
    now[0] = REFUSED_SECONDS - 0.1
    with pytest.raises(Forbidden, match="does not belong to a Job"):
        await jobs.of(CALLER)
    assert api.reads == 1
    now[0] = REFUSED_SECONDS
    put_job(api)
    assert (await jobs.of(CALLER)).ref == OWNER.ref
