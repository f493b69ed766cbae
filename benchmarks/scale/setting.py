"""What the simulated devices need in the cluster: their nodes, their pods and tokens, a fleet, a store and three versions of a model."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from minio import Minio

from bramble.api.labels import AGENT, EDGE_TAINT
from bramble.contracts.canonical import digest_of
from bramble.contracts.jobs.base import TOKEN_AUDIENCE
from bramble.contracts.store import blob_key
from bramble.kinds.fleet.node import PREPARED
from bramble.kube.client import Client
from bramble.kube.resources import FLEET, MODEL_VERSION, NODE, POD, ROLLOUT, Manifest
from examples.digits.stocking import store_secret
from tests.unit.rollout.world import package
from tools.cluster import Cluster
from tools.cluster.store import S3
from tools.installation import EDGE_NAMESPACE

NAMESPACE = "scale"
NAME = "scale"
"""Of the Fleet and of the Rollout."""
BOARD = "virtual"
MODEL = "digits"
AT_ONCE = 16
TOKEN_SECONDS = 7200
ERRORS = {"1.0.0": 0.001, "2.0.0": 0.001, "3.0.0": 0.25}
"""The share of the requests that fail, by version."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")

NO_KUBELET = [
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists"},
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists"},
]
"""Tolerations of the agents' pods, as the DaemonSet controller adds them: these nodes have no kubelet."""


def names(boards: int) -> list[str]:
    """The names of the nodes."""
    return [f"sim-{number:05d}" for number in range(boards)]


def digest_of_version(version: str) -> str:
    """The digest of the package of a version."""
    return digest_of(package(version))


async def each(items: Iterable[Item], call: Callable[[Item], Awaitable[Answer]]) -> list[Answer]:
    """Call for every item, `AT_ONCE` at a time."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> Answer:
        async with turns:
            return await call(item)

    return list(await asyncio.gather(*(one(item) for item in items)))


def node(name: str, number: int) -> Manifest:
    """A bare Node. Nothing prepares its folder, so it says that this was done."""
    labels = {"bramble.dev/fleet": NAME, "bramble.dev/board": BOARD, "topology.kubernetes.io/zone": "ab"[number % 2]}
    spec = {"taints": [{"key": EDGE_TAINT, "value": "true", "effect": "NoSchedule"}]}
    metadata = {"name": name, "labels": labels, "annotations": {PREPARED: "simulated"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


async def make_nodes(api: Client, boards: int) -> None:
    """The nodes of all devices."""
    await each(enumerate(names(boards)), lambda item: api.create(NODE, node(item[1], item[0])))


def fleet() -> Manifest:
    """A fleet of all simulated nodes."""
    board = {"name": BOARD, "selector": {"bramble.dev/board": BOARD}, "resources": {"limits": {"memory": "256Mi"}}}
    spec = {
        "nodeSelector": {"bramble.dev/fleet": NAME},
        "stratifyBy": ["topology.kubernetes.io/zone"],
        "boards": [board],
        "allowedNamespaces": [NAMESPACE],
    }
    return {"apiVersion": FLEET.api_version, "kind": FLEET.kind, "metadata": {"name": NAME}, "spec": spec}


async def make_agents(api: Client, boards: int, template: Manifest) -> dict[str, str]:
    """The agents' pods, as the DaemonSet controller would make them from this template, and their tokens, as the kubelet projects them.

    They lack the label that the DaemonSet selects: its controller would adopt them, and delete those of nodes that are not Ready.
    """
    labels = {key: value for key, value in template["metadata"]["labels"].items() if key != AGENT}

    async def one(name: str) -> tuple[str, str]:
        spec = {**template["spec"], "nodeName": name, "tolerations": [*template["spec"].get("tolerations", ()), *NO_KUBELET]}
        metadata = {"name": f"agent-{name}", "namespace": EDGE_NAMESPACE, "labels": labels}
        made = await api.create(POD, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        bound = {"kind": "Pod", "apiVersion": "v1", "name": made["metadata"]["name"], "uid": made["metadata"]["uid"]}
        asked = {"audiences": [TOKEN_AUDIENCE], "expirationSeconds": TOKEN_SECONDS, "boundObjectRef": bound}
        path = f"/api/v1/namespaces/{EDGE_NAMESPACE}/serviceaccounts/{spec['serviceAccountName']}/token"
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": asked}
        return name, str((await api.call("POST", path, review))["status"]["token"])

    return dict(await each(names(boards), one))


def make_store(cluster: Cluster) -> None:
    """The namespace, its Secret and the packages of all versions."""
    s3: S3 = cluster.s3
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    cluster.apply(store_secret(NAMESPACE, s3))
    address = urlsplit(s3.host_endpoint).netloc
    client = Minio(endpoint=address, access_key=s3.access_key, secret_key=s3.secret_key, secure=False, region=s3.region)
    for version in ERRORS:
        content = package(version)
        name = f"{NAMESPACE}/{blob_key(digest_of(content))}"
        client.put_object(bucket_name=s3.bucket, object_name=name, data=io.BytesIO(content), length=len(content))


def version_name(version: str) -> str:
    """The name of a ModelVersion."""
    return f"{MODEL}-{version.replace('.', '-')}"


def version(number: str) -> tuple[Manifest, dict[str, Any]]:
    """A ModelVersion, and the status of one that was converted and measured: that takes minutes, and is not what is tried here."""
    digest = digest_of_version(number)
    spec = {
        "model": MODEL,
        "version": number,
        "source": {"package": {"digest": digest}},
        "benchmark": [{"fleet": NAME, "board": BOARD}],
    }
    metadata = {"name": version_name(number), "namespace": NAMESPACE}
    measured = {"fleet": NAME, "board": BOARD, "verdict": "Passed", "p50Ms": 2.0, "p99Ms": 3.0}
    variant = {"name": "onnx-fp32", "package": digest, "bytes": 1000, "compression": 1, "verdict": "Passed", "benchmarks": [measured]}
    status = {
        "lineage": {"package": digest, "dataset": digest},
        "conversion": {"state": "Converted", "attempt": 1},
        "variants": [variant],
        "benchmarks": [{"fleet": NAME, "board": BOARD, "attempt": 1, "state": "Measured", "node": names(1)[0]}],
        "targets": [{"fleet": NAME, "board": BOARD, "variant": "onnx-fp32", "package": digest}],
    }
    return {"apiVersion": MODEL_VERSION.api_version, "kind": MODEL_VERSION.kind, "metadata": metadata, "spec": spec}, status


async def make_version(api: Client, number: str) -> None:
    """Create a version, and write what its conversion and its benchmark would have found."""
    manifest, status = version(number)
    made = await api.create(MODEL_VERSION, manifest)
    path = MODEL_VERSION.path(NAMESPACE, made["metadata"]["name"], "status")
    await api.call("PATCH", path, {"status": status}, content="application/merge-patch+json")


def rollout(number: str, bake: str) -> Manifest:
    """A Rollout that takes this version to all devices in three steps."""
    spec = {
        "fleetRef": {"name": NAME},
        "modelVersionRef": {"name": version_name(number)},
        "strategy": {"canary": {"steps": [{"nodes": share, "bake": bake} for share in ("10%", "50%", "100%")]}},
        "analysis": {
            "deadline": "10m",
            "guardrails": [{"metric": "errors", "maxRatio": "2", "ceiling": "0.02", "limit": "0.1", "minEvents": 400}],
        },
    }
    metadata = {"name": NAME, "namespace": NAMESPACE}
    return {"apiVersion": ROLLOUT.api_version, "kind": ROLLOUT.kind, "metadata": metadata, "spec": spec}
