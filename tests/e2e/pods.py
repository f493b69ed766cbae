"""Small objects for tests of the cluster itself: restricted pods that run a few lines of Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from tools.cluster import Cluster

Manifest = dict[str, Any]
RESTRICTED_POD = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "fsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
EDGE_TOLERATION = {"key": "bramble.dev/edge", "operator": "Exists"}


def container(cluster: Cluster, code: str, *, name: str = "main", image: str = "operator", **fields: Any) -> Manifest:
    """Python code in one of the project's images, under everything that `restricted` asks for."""
    return {
        "name": name,
        "image": cluster.images[image],
        "command": ["python", "-c", code],
        "securityContext": RESTRICTED_CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **fields,
    }


def pod_spec(*containers: Manifest, node: str | None = None, **fields: Any) -> Manifest:
    """Runs once, ends fast, anywhere or on one node whatever its taints."""
    chosen: Manifest = {"nodeSelector": {"kubernetes.io/hostname": node}, "tolerations": [EDGE_TOLERATION]} if node else {}
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "securityContext": RESTRICTED_POD,
        "containers": list(containers),
        **chosen,
        **fields,
    }


def pod(name: str, *containers: Manifest, labels: dict[str, str] | None = None, **fields: Any) -> Manifest:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": pod_spec(*containers, **fields)}


def service(name: str, selector: dict[str, str], port: int, **fields: Any) -> Manifest:
    spec = {"selector": selector, "ports": [{"port": port}], **fields}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def http_server(text: str, port: int = 8080) -> str:
    """Code of a server that answers every GET with one text."""
    return f"""
from http.server import BaseHTTPRequestHandler, HTTPServer
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write({text!r}.encode())
HTTPServer(("", {port}), Answer).serve_forever()
"""


@contextmanager
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace for one test, deleted without waiting when it ends; its service account is there."""
    name = f"e2e-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    cluster.wait(
        lambda: any(account["metadata"]["name"] == "default" for account in cluster.list("serviceaccounts", name)),
        60,  # after an outage of the API server, controllers look again up to half a minute later
        f"no service account in {name}: does kube-controller-manager run?",
    )
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def phase(cluster: Cluster, name: str, where: str) -> str:
    found: str = cluster.get("pod", name, where)["status"].get("phase", "")
    return found


def wait_phase(cluster: Cluster, name: str, where: str, *wanted: str, timeout: float = 60) -> Manifest:
    """Until a pod is in one of these phases; the pod."""
    cluster.wait(
        lambda: phase(cluster, name, where) in wanted, timeout, lambda: cluster.kubectl("describe", "pod", name, "-n", where), interval=0.2
    )
    return cluster.get("pod", name, where)


def run(cluster: Cluster, where: str, code: str, *, node: str | None = None, image: str = "operator") -> str:
    """What a pod of these lines prints; its failure is the test's."""
    name = f"run-{uuid4().hex[:6]}"
    cluster.apply(pod(name, container(cluster, code, image=image), node=node), namespace=where)
    ended = wait_phase(cluster, name, where, "Succeeded", "Failed")
    log = cluster.kubectl("logs", name, "-n", where)
    assert ended["status"]["phase"] == "Succeeded", log
    return log
