"""Which address everything has. All of them live in network namespaces of the cluster; none can collide with the host's."""

from __future__ import annotations

from dataclasses import dataclass

from tools.cluster.shape import Shape

CORE = "10.90.0.1"
"""The router's namespace, where the control plane runs: API server, DNS and store."""
NODE_NETWORK = "10.90.1."
POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
CLUSTER_DOMAIN = "cluster.local"

API_PORT = 6443
ETCD_PORT = 2379
KUBELET_PORT = 10250
STREAM_PORT = 10300
STORE_PORT = 7070
STORE_NAMESPACE = "bramble-store-system"
STORE_SERVICE = "s3"


@dataclass(frozen=True)
class NodeAddress:
    """Where one node is found."""

    address: str
    pod_cidr: str
    link: str
    """The router's end of the node's link; the node's own end is always eth0."""


def node_addresses(shape: Shape) -> dict[str, NodeAddress]:
    """Addresses by node name, fixed by the order in the shape."""
    return {
        node.name: NodeAddress(f"{NODE_NETWORK}{number}", f"10.244.{number}.0/24", f"node{number}")
        for number, node in enumerate(shape.nodes, start=1)
    }
