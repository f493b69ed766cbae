"""The API server alone: up in seconds, with the admission that the issue asks for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tools.cluster import Kubectl, KubectlFailed
from tools.cluster.lifecycle import REPOSITORY
from tools.cluster.state import State

pytestmark = pytest.mark.cluster


def pod(name: str, **security: object) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "one", "image": "bramble.local/operator:dev", "securityContext": security}]},
    }


def test_the_api_server_is_of_a_supported_version(api_cluster: Kubectl) -> None:
    assert "Server Version: v1." in api_cluster.kubectl("version")


def test_restricted_is_enforced_where_no_namespace_says_otherwise(api_cluster: Kubectl) -> None:
    with pytest.raises(KubectlFailed, match='violates PodSecurity "restricted:latest"'):
        api_cluster.apply(pod("open"), namespace="default")


@pytest.mark.skipif("BRAMBLE_KUBE_CONTEXT" in os.environ, reason="starts a local cluster of its own")
def test_the_command_line_starts_shows_and_ends_a_cluster() -> None:
    name = f"by-hand-{os.getpid()}"

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tools.cluster", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    try:
        up = call("up", "--api-only", "--name", name)
        assert up.returncode == 0, up.stderr
        assert f"export KUBECONFIG={State.named(name).kubeconfig}\n" in up.stdout
        again = call("up", "--api-only", "--name", name)
        assert again.returncode == 1
        assert "is up already" in again.stderr
        status = call("status").stdout
        assert f"{name}: alive" in status
        assert "-> apiserver" in status
    finally:
        down = call("down", "--name", name)
    assert f"cluster {name!r} is gone" in down.stderr
    assert call("down", "--name", name).stderr.startswith(f"no cluster {name!r}\n")
