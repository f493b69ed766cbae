"""A Fleet on real kubelets: folders, agents, who answers; a node that falls silent, one that joins, and the end of it."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from bramble.api.labels import AGENT
from bramble.kinds.fleet.folders import MISSING
from bramble.kinds.fleet.render import STATE
from tools.cluster import Cluster
from tools.installation import EDGE_NAMESPACE, install

pytestmark = pytest.mark.cluster

FIRST, SECOND, THIRD = "board-1", "board-2", "board-3"
READY_SECONDS = 90
SILENT_SECONDS = 60
REMOUNT_SECONDS = 180
"""The kubelet tries to mount a folder, and the DaemonSet controller to make a pod, every two minutes at most."""


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    """The cluster with Bramble on it, as users have it."""
    install(cluster, {"log": {"format": "text"}})
    return cluster


@pytest.fixture(scope="module")
def fleet(installed: Cluster) -> Iterator[str]:
    """A fleet of two boards, gone afterwards."""
    name = f"fleet-{secrets.token_hex(3)}"
    for node in (FIRST, SECOND):
        join(installed, node, name)
    boards = [{"name": "virtual", "selector": {"bramble.dev/board": "virtual"}, "resources": {"limits": {"memory": "256Mi"}}}]
    spec = {"nodeSelector": {"tests.bramble.dev/fleet": name}, "boards": boards}
    installed.apply({"apiVersion": "bramble.dev/v1alpha1", "kind": "Fleet", "metadata": {"name": name}, "spec": spec})
    yield name
    installed.kubectl("delete", "fleet", name, "--ignore-not-found", "--timeout=60s")
    for node in (FIRST, SECOND, THIRD):
        installed.kubectl("label", "node", node, "tests.bramble.dev/fleet-")


def join(cluster: Cluster, node: str, fleet: str) -> None:
    cluster.kubectl("label", "node", node, f"tests.bramble.dev/fleet={fleet}", "--overwrite")


def status(cluster: Cluster, fleet: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.get("fleet", fleet).get("status", {})
    return found


def reason(cluster: Cluster, fleet: str) -> str:
    return next((condition["reason"] for condition in status(cluster, fleet).get("conditions", ()) if condition["type"] == "Ready"), "")


def until(cluster: Cluster, fleet: str, wanted: str, seconds: float) -> None:
    cluster.wait(lambda: reason(cluster, fleet) == wanted, seconds, lambda: cluster.kubectl("describe", "fleet", fleet))


def agents(cluster: Cluster, fleet: str) -> dict[str, Any]:
    """The agents' pods by node."""
    return {pod["spec"]["nodeName"]: pod for pod in cluster.list("pod", EDGE_NAMESPACE, f"{AGENT}={fleet}.virtual")}


def test_every_board_has_an_agent_that_answers(installed: Cluster, fleet: str) -> None:
    until(installed, fleet, "AllOnline", READY_SECONDS)
    assert set(agents(installed, fleet)) == {FIRST, SECOND}
    assert status(installed, fleet)["boards"] == [{"name": "virtual", "nodes": 2, "online": 2}]
    labels = installed.get("node", FIRST)["metadata"]["labels"]
    assert {"bramble.dev/memory-mib", "bramble.dev/page-size"} <= labels.keys()


def test_a_board_that_falls_silent_is_named_and_welcomed_back(installed: Cluster, fleet: str) -> None:
    until(installed, fleet, "AllOnline", READY_SECONDS)
    installed.nodes[SECOND].partition()
    try:
        until(installed, fleet, "SomeOffline", SILENT_SECONDS)
        (condition,) = status(installed, fleet)["conditions"]
        assert (condition["status"], SECOND in condition["message"]) == ("True", True)
    finally:
        installed.nodes[SECOND].heal()
    until(installed, fleet, "AllOnline", SILENT_SECONDS)


def test_a_board_whose_disk_is_written_anew_is_prepared_again(installed: Cluster, fleet: str) -> None:
    """It keeps its name and its machine id, so nothing of its Node says that its folder is gone."""
    until(installed, fleet, "AllOnline", READY_SECONDS)
    for job in installed.list("job", EDGE_NAMESPACE, "bramble.dev/step=node-setup"):
        installed.kubectl("delete", "job", job["metadata"]["name"], "-n", EDGE_NAMESPACE)  # as an hour after its end
    board = installed.nodes[SECOND]
    board.kill()
    board.wait_not_ready()
    shutil.rmtree(board.host_path(STATE))
    board.boot()
    board.wait_ready()
    until(installed, fleet, "SomeOffline", SILENT_SECONDS)
    wanted = {"node": SECOND, "reason": MISSING}
    installed.wait(lambda: wanted in status(installed, fleet).get("excluded", ()), SILENT_SECONDS, lambda: str(status(installed, fleet)))
    until(installed, fleet, "AllOnline", REMOUNT_SECONDS)


def test_agents_that_the_cluster_refuses_say_why(installed: Cluster, fleet: str) -> None:
    until(installed, fleet, "AllOnline", READY_SECONDS)
    limits = [{"type": "Container", "max": {"memory": "128Mi"}}]
    metadata = {"name": "small", "namespace": EDGE_NAMESPACE}
    installed.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": limits}})
    try:
        installed.kubectl("delete", "pod", "-n", EDGE_NAMESPACE, "-l", f"{AGENT}={fleet}.virtual")
        why = "LimitRange small allows at most 128Mi of memory for each Container: change the board's resources.limits.memory"
        installed.wait(
            lambda: why in status(installed, fleet)["conditions"][0]["message"], READY_SECONDS, lambda: str(status(installed, fleet))
        )
    finally:
        installed.kubectl("delete", "limitrange", "small", "-n", EDGE_NAMESPACE)
    until(installed, fleet, "AllOnline", REMOUNT_SECONDS)


def test_a_board_may_join_and_leave(installed: Cluster, fleet: str) -> None:
    until(installed, fleet, "AllOnline", READY_SECONDS)
    join(installed, THIRD, fleet)
    installed.wait(lambda: status(installed, fleet).get("online") == 3, READY_SECONDS, lambda: str(status(installed, fleet)))
    installed.kubectl("label", "node", THIRD, "tests.bramble.dev/fleet-")
    installed.wait(lambda: set(agents(installed, fleet)) == {FIRST, SECOND}, READY_SECONDS, lambda: str(agents(installed, fleet).keys()))
    assert AGENT not in installed.get("node", THIRD)["metadata"]["labels"]


def test_a_second_fleet_does_not_take_the_first_ones_boards(installed: Cluster, fleet: str) -> None:
    name = f"{fleet}-2"
    own = installed.get("fleet", fleet)["spec"]
    installed.apply({"apiVersion": "bramble.dev/v1alpha1", "kind": "Fleet", "metadata": {"name": name}, "spec": own})
    try:
        until(installed, name, "NoNodes", READY_SECONDS)
        excluded = status(installed, name)["excluded"]
        assert {item["node"] for item in excluded} == {FIRST, SECOND}
        assert all(f"Fleet {fleet} is older" in item["reason"] for item in excluded)
        assert reason(installed, fleet) == "AllOnline"
    finally:
        installed.kubectl("delete", "fleet", name, "--timeout=60s")


def test_a_deleted_fleet_gives_its_boards_back(installed: Cluster, fleet: str) -> None:
    until(installed, fleet, "AllOnline", READY_SECONDS)
    installed.kubectl("delete", "fleet", fleet, "--timeout=60s")
    installed.wait(lambda: not agents(installed, fleet), READY_SECONDS, lambda: installed.kubectl("get", "all", "-n", EDGE_NAMESPACE))
    assert AGENT not in installed.get("node", FIRST)["metadata"]["labels"]
