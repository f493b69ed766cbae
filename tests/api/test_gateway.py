"""The gateway on a real API server: what 1.36 puts into a TokenReview, what the chart's roles allow, and that a change ends a poll."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bramble.contracts.assignment import KEY, LABEL
from bramble.contracts.canonical import canonical_json
from bramble.contracts.jobs.benchmark import BenchmarkJob
from bramble.gateway.calls import POLL_SECONDS
from bramble.gateway.identity import CACHE_SECONDS
from bramble.kinds.jobs.render import render_step
from bramble.kinds.jobs.step import Owner, Step
from tests.api.gateway import HOST, Process, World, started
from tests.unit.gateway.test_assignments import assignment
from tests.unit.gateway.test_reports import report
from tests.unit.gateway.test_results import result
from tools.cluster.cluster import Cluster
from tools.cluster.providers.base import AnyCluster
from tools.cluster.waiting import until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def world(api_cluster: AnyCluster) -> World:
    if not isinstance(api_cluster, Cluster):
        pytest.skip("makes nodes and pods that no kubelet may take: only on a local cluster")
    return World(api_cluster)


@pytest.fixture(scope="module")
def kubeconfig(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.gateway_kubeconfig(tmp_path_factory.mktemp("kubeconfig"))


@pytest.fixture
def replica(world: World, kubeconfig: Path, tmp_path: Path) -> Iterator[Process]:
    with started(world, kubeconfig, tmp_path) as process:
        yield process


class Here(aiohttp.abc.AbstractResolver):
    """Every name is this machine: the certificate is checked against the Service's name all the same."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[Any]:  # noqa: ARG002 - the base's signature
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None: ...


class Caller:
    def __init__(self, session: aiohttp.ClientSession, replica: Process) -> None:
        self.session, self.replica = session, replica

    async def __call__(self, method: str, path: str, token: str = "", **options: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"https://{HOST}:{self.replica.port}{path}"
        async with self.session.request(method, url, headers=headers, **options) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text


@pytest.fixture
async def call(replica: Process) -> AsyncIterator[Caller]:
    connector = aiohttp.TCPConnector(resolver=Here(), ssl=replica.tls)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=40)) as session:
        caller = Caller(session, replica)
        deadline = time.monotonic() + 20
        while True:
            try:
                status, _ = await caller("GET", "/readyz")
            except aiohttp.ClientConnectorError:
                status = 0
            if status == 200:
                break
            assert time.monotonic() < deadline, replica.log
            assert replica.process.poll() is None, replica.log
            await asyncio.sleep(0.05)
        yield caller


def put_assignment(world: World, **changes: Any) -> None:
    node = world.node("pi-0")
    values = {"namespace": world.tenant, "nodes": {"rpi5": (node,)}, "candidate_nodes": (node,), **changes}
    metadata = {"name": "assignment-1", "namespace": world.system, "labels": {LABEL: "true"}}
    data = {KEY: canonical_json(assignment(**values)).decode()}
    world.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


async def assigned(call: Caller, token: str, seq: int) -> Any:
    """What a device is told, once the gateway has seen the assignment of that number."""
    last: Any = None

    async def told() -> bool:
        nonlocal last
        last = await call("GET", "/v1/assignment", token)
        return last[0] == 200 and [each["seq"] for each in last[1]["assignments"]] == [seq]

    await until(told, 30, lambda: last)
    return last[1]


async def test_a_device_is_known_by_its_pods_token_alone(world: World, call: Caller) -> None:
    world.make_pod(world.edge, "agent-0", "bramble-agent", "pi-0")
    world.make_pod(world.edge, "setup-0", "bramble-node-setup", "pi-0")
    world.make_pod(world.tenant, "shell", "default", "pi-0")
    agent = world.token(world.edge, "bramble-agent", pod="agent-0")
    put_assignment(world)
    assert (await assigned(call, agent, seq=5))["assignments"][0]["nodes"] == {"rpi5": [world.node("pi-0")]}

    def said(node: str) -> Any:
        return report(world.node(node)).model_dump(mode="json", by_alias=True)

    assert (await call("POST", "/v1/status", agent, json=said("pi-0")))[0] == 204
    assert (await call("POST", "/v1/status", agent, json=said("pi-1")))[0] == 403
    wrong = {
        "bound to nothing": (world.token(world.edge, "bramble-agent"), 403),
        "another audience": (world.token(world.edge, "bramble-agent", pod="agent-0", audience="https://kubernetes.default.svc"), 401),
        "node-setup": (world.token(world.edge, "bramble-node-setup", pod="setup-0"), 403),
        "a tenant's pod": (world.token(world.tenant, "default", pod="shell"), 403),
        "the operator": (world.token(world.system, "bramble-operator"), 403),
        "forged": (agent[:-8] + "AAAAAAAA", 401),
        "nobody": ("", 401),
    }
    found = {name: (await call("GET", "/v1/assignment", token))[0] for name, (token, _) in wrong.items()}
    assert found == {name: status for name, (_, status) in wrong.items()}


async def test_a_token_dies_with_its_pod(world: World, call: Caller) -> None:
    world.make_pod(world.edge, "agent-2", "bramble-agent", "pi-1")
    agent = world.token(world.edge, "bramble-agent", pod="agent-2")
    world.cluster.kubectl("delete", "pod", "agent-2", "-n", world.edge, "--force", "--grace-period=0")

    async def dead() -> bool:
        return (await call("GET", "/v1/assignment", agent))[0] == 401

    # the API server looks for the pod in what it watches, and the gateway keeps an answer for a while
    await until(dead, CACHE_SECONDS + 30, "the token lives on", interval=0.5)
    assert (await call("GET", "/v1/assignment", agent))[0] == 401


async def test_a_change_reaches_a_waiting_device_at_once(world: World, call: Caller) -> None:
    world.make_pod(world.edge, "agent-3", "bramble-agent", "pi-0")
    agent = world.token(world.edge, "bramble-agent", pod="agent-3")
    put_assignment(world, seq=10)

    async def poll(after: str) -> Any:
        return (await call("GET", f"/v1/assignment?after={after}", agent))[1]

    body = await assigned(call, agent, seq=10)
    waiting = asyncio.create_task(poll(body["etag"]))
    await asyncio.sleep(0.3)
    await asyncio.to_thread(put_assignment, world, seq=11)
    async with asyncio.timeout(POLL_SECONDS / 2):
        body = await waiting
    assert body["assignments"][0]["seq"] == 11
    waiting = asyncio.create_task(poll(body["etag"]))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(world.cluster.kubectl, "delete", "configmap", "assignment-1", "-n", world.system)
    async with asyncio.timeout(POLL_SECONDS / 2):
        assert (await waiting)["assignments"] == []


async def test_a_benchmark_files_its_result_and_nobody_else_does(world: World, call: Caller, replica: Process) -> None:
    owner = Owner("ModelVersion", world.tenant, "digits-1-0-0", "5f1c1d1e-0000-4000-8000-000000000001")
    digest = "sha256:" + "a" * 64
    prefix = owner.prefix("benchmark-virtual", 1)
    job = BenchmarkJob(
        object=owner.ref, attempt=1, prefix=prefix, board="virtual", fleet="f", packages=(digest,), reference=digest, manifest=digest
    )
    children = render_step(Step(owner=owner, job=job, image="e@sha256:1", name="benchmark-virtual", store=False))
    world.cluster.apply(*(child.manifest for child in children))
    name = owner.job_name("benchmark-virtual", 1)
    uid = world.cluster.get("job", name, world.tenant)["metadata"]["uid"]
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": True}
    world.make_pod(world.tenant, "bench", "default", "pi-0", reference)
    world.make_pod(world.tenant, "bare", "default", "pi-0")
    body = {"key": f"{prefix}result.json", "result": result(node=world.node("pi-0")).model_dump(mode="json", by_alias=True)}
    statuses = {
        pod: await call("POST", "/v1/results", world.token(world.tenant, "default", pod=pod), json=body) for pod in ("bench", "bare")
    }
    assert {pod: status for pod, (status, _) in statuses.items()} == {"bench": 201, "bare": 403}, (statuses, replica.log)


async def test_only_the_operator_reads_what_was_heard(world: World, call: Caller) -> None:
    status, body = await call("GET", "/v1/observed", world.token(world.system, "bramble-operator"))
    assert (status, body["replica"], body["reports"]) == (200, "gateway-0", [])
    assert (await call("GET", "/v1/observed", world.token(world.tenant, "default")))[0] == 403


async def test_a_replica_leaves_without_a_lost_answer(world: World, call: Caller, replica: Process) -> None:
    world.make_pod(world.edge, "agent-4", "bramble-agent", "pi-0")
    agent = world.token(world.edge, "bramble-agent", pod="agent-4")
    _, body = await call("GET", "/v1/assignment", agent)
    waiting = asyncio.create_task(call("GET", f"/v1/assignment?after={body['etag']}", agent))
    await asyncio.sleep(0.3)
    replica.leave()
    assert (await asyncio.wait_for(waiting, POLL_SECONDS / 2))[0] == 304
    assert await asyncio.to_thread(replica.process.wait, 10) == 0, replica.log


async def test_without_tls_nobody_is_served(call: Caller, replica: Process) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://127.0.0.1:{replica.port}/healthz")
        async with session.get(f"http://127.0.0.1:{replica.side_port}/metrics") as answer:
            assert "bramble_gateway_requests_total" in await answer.text()
        assert (await call("GET", "/healthz"))[0] == 200
