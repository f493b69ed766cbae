"""Nodes that lose their kubelet, their runtime, their network, their power; each test heals what it broke."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.pods import container, phase, pod, run, wait_phase
from tools.cluster import Cluster, Node

pytestmark = pytest.mark.cluster

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def node(cluster: Cluster) -> Iterator[Node]:
    """A node to break, whole again afterwards."""
    yield cluster.nodes["gpu-2"]
    cluster.nodes["gpu-2"].wait_ready()


def restarts(cluster: Cluster, where: str) -> int:
    return int(cluster.get("pod", "one", where)["status"]["containerStatuses"][0]["restartCount"])


@pytest.fixture
def one(cluster: Cluster, where: str, node: Node) -> str:
    """A pod that runs on the node."""
    cluster.apply(pod("one", container(cluster, SLEEP), node=node.name, restartPolicy="Always"), namespace=where)
    wait_phase(cluster, "one", where, "Running")
    return "one"


def test_a_node_without_kubelet_is_not_ready_and_its_pods_live_on(cluster: Cluster, where: str, node: Node, one: str) -> None:
    before = node.pids(one, "main", where)
    node.stop_kubelet()
    started = time.monotonic()
    node.wait_not_ready()
    assert time.monotonic() - started > 5, "the node was not Ready before"
    assert node.pids(one, "main", where) == before
    node.start_kubelet()
    node.wait_ready()
    assert node.pids(one, "main", where) == before
    assert restarts(cluster, where) == 0


def test_a_restarted_runtime_keeps_its_containers(cluster: Cluster, where: str, node: Node, one: str) -> None:
    before = node.pids(one, "main", where)
    node.stop_runtime()
    assert node.pids(one, "main", where) == before
    node.start_runtime()
    node.wait_ready()
    assert run(cluster, where, "print('still here')", node=node.name) == "still here\n"
    assert node.pids(one, "main", where) == before
    assert restarts(cluster, where) == 0


def test_a_lost_node_takes_its_containers_and_comes_back(cluster: Cluster, where: str, node: Node, one: str) -> None:
    assert node.pids(one, "main", where)
    node.kill()
    assert node.pids(one, "main", where) == []
    node.wait_not_ready()
    node.boot()
    node.wait_ready()
    cluster.wait(lambda: node.pids(one, "main", where), 60, lambda: cluster.kubectl("describe", "pod", one, "-n", where))
    assert phase(cluster, one, where) == "Running"
    assert cluster.get("node", node.name)["status"]["allocatable"]["nvidia.com/gpu"] == "1"


def test_a_partitioned_node_is_not_ready_while_its_pods_run(cluster: Cluster, where: str, node: Node, one: str) -> None:
    before = node.pids(one, "main", where)
    node.partition()
    node.wait_not_ready()
    assert node.pids(one, "main", where) == before
    node.heal()
    node.wait_ready()
    assert node.pids(one, "main", where) == before
    assert restarts(cluster, where) == 0
