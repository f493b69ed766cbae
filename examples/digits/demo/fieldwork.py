"""The field in the demo: a pod on each board that shows it held-out pictures, and what those pods see."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

from examples.digits.demo.screen import Board, View
from examples.digits.pictures import field_zip
from tools.cluster.providers.base import AnyCluster

TRAFFIC = Path(__file__).resolve().parents[1] / "field" / "traffic.py"
DEVICE_URL = "http://agent-demo.bramble-edge.svc:8090"
PER_SECOND = "10"


def manifests(image: str, namespace: str) -> list[dict[str, Any]]:
    """A DaemonSet on the fleet's boards, with its program and its pictures from a ConfigMap."""
    labels = {"app": "field"}
    content = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "field", "namespace": namespace},
        "data": {"traffic.py": TRAFFIC.read_text()},
        "binaryData": {"pictures.zip": base64.b64encode(field_zip()).decode()},
    }
    container = {
        "name": "field",
        "image": image,
        "command": ["python", "/field/traffic.py"],
        "env": [
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "DEVICE_URL", "value": DEVICE_URL},
            {"name": "MODEL", "value": f"{namespace}.digits"},
            {"name": "PICTURES", "value": "/field/pictures.zip"},
            {"name": "PER_SECOND", "value": PER_SECOND},
        ],
        "volumeMounts": [{"name": "field", "mountPath": "/field", "readOnly": True}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
    }
    pod = {
        "nodeSelector": {"bramble.dev/fleet": "demo"},
        "tolerations": [{"key": "bramble.dev/edge", "operator": "Exists"}],
        "terminationGracePeriodSeconds": 2,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "field", "configMap": {"name": "field"}}],
    }
    traffic = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "field", "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    return [content, traffic]


class Field:
    """Follows what the field's pods print. `show` writes the boards' row of the screen."""

    def __init__(self, cluster: AnyCluster, namespace: str) -> None:
        self._latest: dict[str, dict[str, Any]] = {}
        self._command = cluster.command(
            "logs", "--follow", "--selector=app=field", f"--namespace={namespace}", "--tail=1", "--max-log-requests=50"
        )
        self._environment = cluster.env
        self._stopped = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @classmethod
    def start(cls, cluster: AnyCluster, namespace: str) -> Self:
        """Put the pods on the boards and begin to listen."""
        cluster.apply(*manifests(cluster.images["edge"], namespace))
        cluster.kubectl("rollout", "status", "daemonset/field", f"--namespace={namespace}", "--timeout=60s")
        return cls(cluster, namespace)

    def _follow(self) -> None:
        while not self._stopped.is_set():
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            with self._process as process:
                assert process.stdout is not None
                for line in process.stdout:
                    said = json.loads(line)
                    self._latest[said["node"]] = said
            self._stopped.wait(1)

    def show(self, view: View, versions: dict[str, str], candidate: str) -> None:
        """Each board with the version that answers now, and how often that one was right on this board."""
        for node, said in sorted(self._latest.items()):
            package = said["package"]
            version = versions.get(package, package[7:15])
            answered, right = said["answered"].get(package, 0), said["right"].get(package, 0)
            canary = bool(candidate) and candidate.endswith(version.replace(".", "-"))
            view.boards[node] = Board(version=version, canary=canary, answered=answered, right=right)

    def facts(self) -> dict[str, dict[str, Any]]:
        """What each board's client counted in all, by package."""
        return dict(self._latest)

    def close(self) -> None:
        """Stop listening."""
        self._stopped.set()
        if self._process is not None:
            self._process.terminate()
        self._thread.join(timeout=5)
