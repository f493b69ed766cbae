"""The control plane is real: it goes and comes back, and what runs does not notice."""

from __future__ import annotations

import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.pods import container, http_server, pod, run, wait_phase
from tools.cluster import Cluster, KubectlFailed
from tools.cluster.waiting import wait

pytestmark = pytest.mark.cluster

LISTENS = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}


def test_pods_run_on_while_the_api_server_is_gone(cluster: Cluster, where: str) -> None:
    cluster.apply(pod("one", container(cluster, "import time; time.sleep(600)"), node="gpu-1"), namespace=where)
    wait_phase(cluster, "one", where, "Running")
    before = cluster.nodes["gpu-1"].pids("one", "main", where)
    cluster.stop("kube-apiserver")
    with pytest.raises(KubectlFailed):
        cluster.kubectl("get", "--raw", "/readyz")
    cluster.start("kube-apiserver")
    cluster.wait(lambda: _answers(cluster), 60, "the API server does not come back")
    for node in cluster.nodes.values():
        node.wait_ready()
    assert cluster.nodes["gpu-1"].pids("one", "main", where) == before
    assert run(cluster, where, "print('new pods too')") == "new pods too\n"


def _answers(cluster: Cluster) -> bool:
    try:
        return cluster.kubectl("get", "--raw", "/readyz") == "ok"
    except KubectlFailed:
        return False


def test_ports_are_forwarded_and_files_copied_by_kubectl(cluster: Cluster, where: str, tmp_path: Path) -> None:
    cluster.apply(
        pod("server", container(cluster, http_server("forwarded"), image="convert", readinessProbe=LISTENS)),
        namespace=where,
    )
    # a refused connection ends kubectl's forwarding for good
    cluster.kubectl("wait", "--for=condition=Ready", "pod/server", "-n", where, "--timeout=60s")
    command = cluster.command("port-forward", "pod/server", "-n", where, "--address=127.0.0.1", ":8080")
    with subprocess.Popen(command, env=cluster.env, stdout=subprocess.PIPE, text=True) as forward:
        assert forward.stdout is not None
        port = int(forward.stdout.readline().split(" -> ")[0].rsplit(":", 1)[1])

        def answer() -> bytes:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answered:
                    body: bytes = answered.read()
                    return body
            except OSError:
                return b""

        try:
            assert wait(answer, 20, "no answer through kubectl port-forward") == b"forwarded"
        finally:
            forward.terminate()
    cluster.kubectl("cp", f"{where}/server:/opt/bramble/code/bramble_workloads/__init__.py", str(tmp_path / "copied"))
    assert (tmp_path / "copied").is_file()
