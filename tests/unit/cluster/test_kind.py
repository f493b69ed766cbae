"""What is asked of kind and Docker. Neither runs without a registry: `kind` and `docker` here are fakes that note their calls."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tools.cluster.errors import ClusterError, MissingRequirement
from tools.cluster.providers import kind, provider_named
from tools.cluster.shape import Shape

FAKE = """#!/bin/sh
echo "$(basename "$0") $*" >> {log}
case "$*" in
  "get nodes"*) printf 'demo-worker2\\ndemo-control-plane\\ndemo-worker10\\ndemo-worker\\n' ;;
  *"images list"*) printf 'REF TYPE DIGEST SIZE\\nbramble.local/edge:dev application/x sha256:abc 1MiB\\n' ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the fakes write their command lines into."""
    log = tmp_path / "calls"
    for name in ("kind", "docker"):
        program = tmp_path / name
        program.write_text(FAKE.format(log=log))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return log


def test_there_is_a_node_for_each_of_the_shape_with_its_labels_and_taints() -> None:
    nodes = kind.cluster_configuration(Shape(), 7071, "/cache/versitygw")["nodes"]
    assert [node["role"] for node in nodes] == ["control-plane"] + ["worker"] * 6
    board = nodes[-1]
    assert board["labels"]["bramble.dev/bench"] == "true"
    assert json.loads(board["kubeadmConfigPatches"][0])["nodeRegistration"]["taints"][0]["key"] == "bramble.dev/edge"
    assert json.loads(nodes[0]["kubeadmConfigPatches"][0])["nodeRegistration"]["taints"] == [], "the control plane takes pods"


def test_the_store_is_reached_from_the_host_by_one_port_of_loopback() -> None:
    nodes = kind.cluster_configuration(Shape(), 7071, "/cache/versitygw")["nodes"]
    assert nodes[0]["extraPortMappings"] == [{"containerPort": kind.NODE_PORT, "hostPort": 7071, "listenAddress": "127.0.0.1"}]
    assert all(node["extraMounts"][0]["hostPath"] == "/cache/versitygw" for node in nodes)


def test_an_image_is_named_by_its_digest_on_every_node(calls: Path) -> None:
    assert kind._load("demo", "bramble.local/edge:dev") == "bramble.local/edge@sha256:abc"
    tagged = [line for line in calls.read_text().splitlines() if " tag " in line]
    assert [line.split()[2] for line in tagged] == ["demo-control-plane", "demo-worker", "demo-worker2", "demo-worker10"]
    assert all(line.endswith("tag --force bramble.local/edge:dev bramble.local/edge@sha256:abc") for line in tagged)


def test_an_image_that_did_not_arrive_is_an_error(calls: Path) -> None:  # noqa: ARG001
    with pytest.raises(ClusterError, match="is not among the node's images"):
        kind._load("demo", "bramble.local/train:dev")


def test_what_is_missing_is_named_with_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingRequirement, match=r"kind \(https://kind\.sigs"):
        provider_named("kind").up(None, attached=True, progress=print)


def test_an_unknown_provider_is_refused_with_those_there_are() -> None:
    with pytest.raises(ClusterError, match="choose one of nodebox, containerd, kind, context"):
        provider_named("minikube")


def test_the_existing_cluster_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRAMBLE_KUBE_CONTEXT", raising=False)
    with pytest.raises(MissingRequirement, match="BRAMBLE_KUBE_CONTEXT is not set"):
        provider_named("context").up(None, attached=True, progress=print)
