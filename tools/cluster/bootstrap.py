"""Objects that a cluster has from its first second: nodes, DNS, the store's Service."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from typing import Any

from tools.cluster import addresses
from tools.cluster.addresses import NodeAddress
from tools.cluster.api import Api
from tools.cluster.configs import SYSTEM_NAMESPACE
from tools.cluster.errors import AlreadyExists
from tools.cluster.shape import NodeShape, Shape
from tools.cluster.waiting import until

MAKE_SECONDS = 30.0
GPU = "nvidia.com/gpu"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def node(shape: NodeShape, place: NodeAddress) -> dict[str, Any]:
    """A Node with its pod CIDR and address, made before its kubelet: neither it nor kube-proxy has to wait for a controller."""
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    labels = {"kubernetes.io/hostname": shape.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": architecture, **shape.labels}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    capacity = {"cpu": str(os.cpu_count()), "memory": str(memory), "pods": "200"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": shape.name, "labels": labels},
        "spec": {"podCIDR": place.pod_cidr, "podCIDRs": [place.pod_cidr], "taints": list(shape.taints)},
        "status": {
            "addresses": [{"type": "InternalIP", "address": place.address}, {"type": "Hostname", "address": shape.name}],
            "capacity": capacity,
            "allocatable": capacity,
        },
    }


def outside_service(namespace: str, name: str, ports: dict[str, tuple[int, str]], cluster_ip: str | None = None) -> list[dict[str, Any]]:
    """A Service without selector and its EndpointSlice: processes of the router's namespace, by port name (number, protocol)."""
    spec: dict[str, Any] = {"ports": [{"name": key, "port": number, "protocol": kind} for key, (number, kind) in ports.items()]}
    if cluster_ip is not None:
        spec["clusterIP"] = cluster_ip
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-outside",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "bramble-cluster"},
        },
        "addressType": "IPv4",
        "ports": [{"name": key, "port": number, "protocol": kind} for key, (number, kind) in ports.items()],
        "endpoints": [{"addresses": [addresses.CORE], "conditions": {"ready": True}}],
    }
    return [service, endpoints]


def dns_rights() -> list[dict[str, Any]]:
    """What CoreDNS reads, as its own deployment grants it."""
    rules = [
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    group = "rbac.authorization.k8s.io"
    name = "system:coredns"
    return [
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": name}],
        },
    ]


def objects(shape: Shape) -> list[dict[str, Any]]:
    """All of them, in an order in which they can be made."""
    namespaces = [SYSTEM_NAMESPACE, *([addresses.STORE_NAMESPACE] if shape.store else [])]
    made: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in namespaces]
    places = addresses.node_addresses(shape)
    made += [node(each, places[each.name]) for each in shape.nodes]
    if not shape.api_only:
        made += dns_rights()
        made += outside_service(SYSTEM_NAMESPACE, "kube-dns", {"dns": (53, "UDP"), "dns-tcp": (53, "TCP")}, addresses.DNS_SERVICE)
    if shape.store:
        made += outside_service(addresses.STORE_NAMESPACE, addresses.STORE_SERVICE, {"s3": (addresses.STORE_PORT, "TCP")})
    return made


def _path(document: dict[str, Any]) -> str:
    kind, version, metadata = document["kind"], document["apiVersion"], document["metadata"]
    prefix = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{prefix}{namespace}/{kind.lower()}s/{metadata['name']}"


async def create(api: Api, shape: Shape) -> None:
    """Make all of them; Nodes by POST, whose status counts then, the others by server-side apply."""
    for document in objects(shape):
        await _make(api, document)


async def _make(api: Api, document: dict[str, Any]) -> None:
    """Asked again for a while: a server that has just begun may have no time yet."""
    failed: OSError | None = None

    async def made() -> bool:
        nonlocal failed
        try:
            if document["kind"] == "Node":
                with suppress(AlreadyExists):  # made by a request that got no answer
                    await api.request("POST", "/api/v1/nodes", document)
            else:
                await api.apply(_path(document), document)
        except OSError as error:
            failed = error
            return False
        return True

    await until(made, MAKE_SECONDS, lambda: f"{_path(document)} is not made: {failed}")


async def advertise_gpus(api: Api, shape: NodeShape) -> None:
    """Add `nvidia.com/gpu` to a node's status. A kubelet that registers resets it, later ones leave it: so after it is Ready."""
    if shape.gpus == 0:
        return
    key = GPU.replace("/", "~1")
    patch = [{"op": "add", "path": f"/status/{part}/{key}", "value": str(shape.gpus)} for part in ("capacity", "allocatable")]
    await api.request("PATCH", f"/api/v1/nodes/{shape.name}/status", patch, "application/json-patch+json")


def is_ready(document: dict[str, Any]) -> bool:
    """Whether a Node says Ready and nothing keeps pods from it for another reason."""
    conditions = {condition["type"]: condition["status"] for condition in document["status"].get("conditions", [])}
    taints = {taint["key"] for taint in document["spec"].get("taints", [])}
    return conditions.get("Ready") == "True" and not any(taint.startswith("node.kubernetes.io/") for taint in taints)
