"""What a failed test leaves to look at."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tools.cluster.errors import KubectlFailed
from tools.cluster.kubectl import Kubectl

KINDS = "nodes,pods,jobs,daemonsets,deployments,services,endpointslices,configmaps,leases,persistentvolumeclaims"
BRAMBLE_KINDS = "datasets,trainingruns,modelversions,fleets,rollouts"


def dump(cluster: Kubectl, to: Path, logs: Path | None = None, pod_logs: Mapping[str, Path] | None = None) -> Path:
    """Objects, events and descriptions by kubectl; logs of components and pods by copying. Returns the folder."""
    to.mkdir(parents=True, exist_ok=True)
    _save(cluster, to / "objects.txt", "get", KINDS, "--all-namespaces", "-o", "wide")
    _save(cluster, to / "bramble.yaml", "get", BRAMBLE_KINDS, "--all-namespaces", "-o", "yaml")
    _save(cluster, to / "events.txt", "get", "events", "--all-namespaces", "--sort-by=.lastTimestamp")
    _save(cluster, to / "pods.txt", "describe", "pods", "--all-namespaces")
    _save(cluster, to / "nodes.txt", "describe", "nodes")
    if logs is not None:
        shutil.copytree(logs, to / "components", dirs_exist_ok=True)
    for node, folder in (pod_logs or {}).items():
        shutil.copytree(folder, to / "pod-logs" / node, dirs_exist_ok=True)
    return to


def _save(cluster: Kubectl, path: Path, *arguments: str) -> None:
    """kubectl's answer, or why there is none: a kind may not be installed, the API server may be what failed."""
    try:
        path.write_text(cluster.kubectl(*arguments))
    except KubectlFailed as error:
        path.write_text(f"{error}\n")
