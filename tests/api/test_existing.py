"""The tests on a kube context that was there before, as somebody with a cluster of their own runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.cluster.errors import NotSupported
from tools.cluster.kubectl import Kubectl
from tools.cluster.lifecycle import REPOSITORY
from tools.cluster.providers.existing_cluster import ExistingCluster

pytestmark = pytest.mark.cluster


@pytest.fixture
def environment(api_cluster: Kubectl) -> dict[str, str]:
    """As in a shell whose kubectl reaches the cluster."""
    context = api_cluster.kubectl("config", "current-context").strip()
    path = f"{Path(api_cluster.program).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "KUBECONFIG": str(api_cluster.kubeconfig), "BRAMBLE_KUBE_CONTEXT": context}


def test_the_tests_run_on_a_context_that_is_named(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/api/test_create.py", "-k", "wrong and enum"],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "API server is ready" not in done.stdout, "no cluster of its own was started"


def test_what_only_a_local_cluster_can_do_is_said(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATH", "KUBECONFIG"):
        monkeypatch.setenv(name, environment[name])
    existing = ExistingCluster(environment["BRAMBLE_KUBE_CONTEXT"])
    assert existing.get("namespace", "default")["metadata"]["name"] == "default"
    with pytest.raises(NotSupported, match="cannot be touched"):
        _ = existing.nodes
    monkeypatch.delenv("BRAMBLE_IMAGE_TRAIN", raising=False)
    with pytest.raises(NotSupported, match="BRAMBLE_IMAGE_TRAIN must be set"):
        _ = existing.images["train"]
