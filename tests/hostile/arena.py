"""Bramble as it is installed, small: operator, gateway and the agents of a fleet as processes, on a real API server and a real store.

There are no kubelets here. So pods are objects without containers, the Jobs that prepare devices are completed by the test, and what the
Jobs of a ModelVersion would find out is in the store before they could begin.
"""

from __future__ import annotations

import asyncio
import io
import ipaddress
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from minio import Minio

from bramble.contracts.canonical import document_digest
from bramble.contracts.store import blob_key
from tests.api.gateway import Process, World, started
from tests.chaos.operator_process import WITH_TOKEN
from tests.hostile.versions import API, BOARD, Object, results_of, version_manifest, whole_package
from tests.unit.workloads.edge.agent_process import Agent
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tools.cluster import Cluster
from tools.cluster.waiting import wait

DEVICES = 3
SECONDS = 120.0


@dataclass
class Arena:
    """A fleet `rooms` that two namespaces share, and a device of another fleet.

    Attributes:
        world: the neighbour's namespace is `world.tenant`; namespaces of operator, gateway and agents.
        folder: logs, tokens, the agents' folders.
        gateway: its process.
        hostile: the namespace of the hostile tenant, which may use the same fleet.
        agents: the devices of the fleet, by node.
    """

    world: World
    folder: Path
    gateway: Process
    hostile: str
    agents: dict[str, Agent] = field(default_factory=dict)
    blobs: set[str] = field(default_factory=set)
    """Of the neighbour's packages."""
    releases: int = 0
    """How many versions the neighbour has made."""

    @property
    def cluster(self) -> Cluster:
        return self.world.cluster

    @property
    def fleet(self) -> str:
        """The fleet that both tenants share."""
        return f"rooms-{self.world.tag}"

    @property
    def other_fleet(self) -> str:
        """The fleet of the device that is in somebody else's hands."""
        return f"sheds-{self.world.tag}"

    @property
    def private_fleet(self) -> str:
        """A fleet that only the neighbour may use."""
        return f"homes-{self.world.tag}"

    @property
    def gateway_url(self) -> str:
        return f"https://127.0.0.1:{self.gateway.port}"

    @property
    def gateway_ca(self) -> Path:
        return self.gateway.folder / "ca.crt"

    @cached_property
    def store(self) -> Minio:
        s3 = self.cluster.s3
        host = s3.host_endpoint.removeprefix("http://")
        return Minio(endpoint=host, access_key=s3.access_key, secret_key=s3.secret_key, secure=False, region=s3.region)

    def known(self) -> Object:
        """What attackers know."""
        return {
            "agents": {node: agent.url for node, agent in self.agents.items()},
            "gateway": self.gateway.port,
            "ca": str(self.gateway_ca),
            "kubeconfig": self.cluster.env["KUBECONFIG"],
            "namespace": self.hostile,
            "neighbour": self.world.tenant,
            "fleet": self.fleet,
            "other_fleet": self.other_fleet,
            "private_fleet": self.private_fleet,
            "blobs": sorted(self.blobs),
            "model": f"{self.world.tenant}.digits",
            "node": self.world.node("shed"),
            "token": self.device_token(self.world.node("shed")),
            "stranger": self.world.token(self.hostile, "default"),
            "board": BOARD,
        }

    # ---------------------------------------------------------------------------------------------- nodes and devices

    def make_fleet(self, name: str, namespaces: tuple[str, ...], nodes: tuple[str, ...]) -> None:
        """A Fleet and its Ready nodes."""
        for node in nodes:
            labels = {"tests.bramble.dev/fleet": name, "bramble.dev/board": BOARD}
            self.cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": labels}})
            ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "Test", "lastHeartbeatTime": now()}]}
            self.patch_status("node", node, ready)
        boards = [{"name": BOARD, "selector": {"bramble.dev/board": BOARD}, "benchmarkSelector": {"bramble.dev/bench": "true"}}]
        spec = {"nodeSelector": {"tests.bramble.dev/fleet": name}, "boards": boards, "allowedNamespaces": list(namespaces)}
        self.cluster.apply({"apiVersion": API, "kind": "Fleet", "metadata": {"name": name}, "spec": spec})

    def patch_status(self, kind: str, name: str, status: Object, namespace: str = "") -> None:
        where = [f"--namespace={namespace}"] if namespace else []
        self.cluster.kubectl("patch", kind, name, *where, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))

    def complete_setups(self, count: int) -> None:
        """What kubelets would do: the Jobs that prepare so many devices succeed."""

        def jobs() -> list[Object]:
            return self.cluster.list("jobs", self.world.edge)

        wait(lambda: len(jobs()) >= count, SECONDS, lambda: f"{len(jobs())} Jobs prepare devices\n{self.log('operator')}")
        done = {"startTime": now(), "completionTime": now(), "succeeded": 1, "uncountedTerminatedPods": {}}
        conditions = [
            {"type": each, "status": "True", "lastTransitionTime": now(), "lastProbeTime": now()}
            for each in ("SuccessCriteriaMet", "Complete")
        ]
        for job in jobs():
            self.patch_status("job", job["metadata"]["name"], {**done, "conditions": conditions}, self.world.edge)

    def device_token(self, node: str) -> str:
        """The token of the agent's pod on this node, which is made."""
        pod = f"agent-{secrets.token_hex(3)}"
        self.world.make_pod(self.world.edge, pod, "bramble-agent", node.removeprefix(f"{self.world.tag}-"))
        return self.world.token(self.world.edge, "bramble-agent", pod=pod)

    def make_agent(self, node: str, **environment: str) -> Agent:
        """The agent of one device, not started."""
        folder = self.folder / node
        folder.mkdir()
        settings = {"BRAMBLE_FLEET": self.fleet, "BRAMBLE_GATEWAY_URL": self.gateway_url, "BRAMBLE_GATEWAY_CA": str(self.gateway_ca)}
        agent = Agent(FakeGateway(node, BOARD), folder, **{**settings, **environment})
        agent.token.write_text(self.device_token(node))
        return agent

    # ------------------------------------------------------------------------------------------ versions and rollouts

    def put(self, key: str, content: bytes) -> None:
        """An object of the neighbour's store."""
        name = f"gateway-{self.world.tag}/{key}"
        self.store.put_object(bucket_name=self.cluster.s3.bucket, object_name=name, data=io.BytesIO(content), length=len(content))

    def publish(self, graph: bytes, model: str, version: str) -> str:
        """A ModelVersion of the neighbour that is proven; its package's digest."""
        package, blobs = whole_package(graph, version=version, model=model)
        digest = document_digest(package)
        made = version_manifest(self.world.tenant, model, version, digest, self.fleet)
        self.cluster.apply(made)
        name, namespace = made["metadata"]["name"], self.world.tenant
        uid = self.cluster.get("modelversion", name, namespace)["metadata"]["uid"]
        for key, content in results_of(namespace, name, uid, digest, self.fleet).items():
            self.put(key, content)
        for each, content in blobs.items():  # the operator waits for the package, so that it finds the results beside it
            self.put(blob_key(each), content)
        self.blobs |= blobs.keys()
        self.cluster.kubectl("annotate", "modelversion", name, f"--namespace={namespace}", "tests.bramble.dev/uploaded=true")
        self.until(lambda: self.is_ready("modelversion", name, namespace), f"ModelVersion {name} is Ready")
        return digest

    def is_ready(self, kind: str, name: str, namespace: str) -> bool:
        found = self.cluster.get(kind, name, namespace).get("status", {}).get("conditions", ())
        return any(each["type"] == "Ready" and each["status"] == "True" for each in found)

    def until(self, condition: Any, what: str, seconds: float = SECONDS) -> None:
        wait(condition, seconds, lambda: f"{what}\n{self.describe()}", interval=0.2)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-25:]) if path.exists() else ""

    def describe(self) -> str:
        found = self.cluster.kubectl("get", "rollouts,modelversions,fleets,jobs", "--all-namespaces", "-o", "wide")
        return "\n".join([found, self.log("operator"), self.gateway.log[-2000:], *(agent.tail(5) for agent in self.agents.values())])


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def own_address() -> str:
    """An address of this machine that is not its loopback interface: an EndpointSlice may have no other. Nothing is sent there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        return str(probe.getsockname()[0])


@contextmanager
def operator(arena: Arena) -> Iterator[subprocess.Popen[bytes]]:
    """The operator as a process, with its token for the gateway where its pod would have it."""
    world, token = arena.world, arena.folder / "operator-token"
    token.write_text(world.token(world.system, "bramble-operator"))
    settings = {
        "NAMESPACE": world.system,
        "EDGE_NAMESPACE": world.edge,
        "IMAGES_TRAIN": "t@sha256:1",
        "IMAGES_CONVERT": "c@sha256:1",
        "IMAGES_EDGE": "e@sha256:1",
        "GATEWAY_URL": arena.gateway_url,
        "GATEWAY_CA": str(arena.gateway_ca),
        "STORE_NETWORKS": "127.0.0.0/8",
        "STATUS_SECONDS": "1",
        "OBSERVE_SECONDS": "1",
        "HTTP_PORT": "0",
    }
    environment = {**os.environ, "KUBECONFIG": arena.cluster.env["KUBECONFIG"], **{f"BRAMBLE_{k}": v for k, v in settings.items()}}
    enter = ["unshare", "--mount", "--propagation=private", "--", "sh", "-ec", WITH_TOKEN, str(token)]
    with (arena.folder / "operator.log").open("wb") as log:
        process = subprocess.Popen([*enter, sys.executable, "-m", "bramble", "operator"], env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def arena(cluster: Cluster, folder: Path) -> Iterator[Arena]:
    """Operator, gateway, and the fleet with its agents, which serve nothing yet."""
    world = World(cluster)
    hostile = f"gw-{world.tag}-hostile"
    cluster.kubectl("create", "namespace", hostile)
    world.make_account(hostile, "default")
    gateway_folder, address = folder / "gateway", own_address()
    gateway_folder.mkdir()
    names = (
        x509.DNSName(f"bramble-gateway.{world.system}.svc"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address(address)),
    )
    with ExitStack() as stack:
        gateway = stack.enter_context(started(world, world.gateway_kubeconfig(folder), gateway_folder, names))
        made = Arena(world, folder, gateway, hostile)
        cluster.apply(endpoint_slice(world.system, address, gateway.port))
        nodes = tuple(world.node(f"room-{number}") for number in range(DEVICES))
        made.make_fleet(made.fleet, (world.tenant, hostile), nodes)
        made.make_fleet(made.other_fleet, (hostile,), (world.node("shed"),))
        made.make_fleet(made.private_fleet, (world.tenant,), ())
        stack.enter_context(operator(made))
        made.complete_setups(len(nodes) + 1)
        made.agents = {node: made.make_agent(node) for node in nodes}
        yield made


def endpoint_slice(namespace: str, address: str, port: int) -> Mapping[str, Any]:
    """By which the operator finds the gateway."""
    metadata = {"name": "bramble-gateway", "namespace": namespace, "labels": {"kubernetes.io/service-name": "bramble-gateway"}}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


async def stop_agents(made: Arena) -> None:
    """End the agents, and remove what they stored."""
    await asyncio.gather(*(agent.kill() for agent in made.agents.values() if agent.process is not None))
    for agent in made.agents.values():
        shutil.rmtree(agent.state, ignore_errors=True)
