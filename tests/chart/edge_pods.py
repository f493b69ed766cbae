"""Pods of the edge namespace as test rows: a pod that is allowed, and one change to it."""

import copy
from collections.abc import Callable
from typing import Any

Pod = dict[str, Any]
Change = Callable[[Pod], None]

NAMESPACE = "bramble-edge"
AGENT = "bramble-agent"
SETUP = "bramble-node-setup"
FOLDER = "/var/lib/bramble"


def restricted(name: str = "row") -> Pod:
    """What any pod must look like in a namespace that enforces `restricted`, with a container of each sort that a pod is created with."""
    container = {
        "image": "bramble.local/edge",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "serviceAccountName": "default",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "initContainers": [{"name": "first", **copy.deepcopy(container)}],
            "containers": [{"name": "main", **copy.deepcopy(container)}],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


def agent(name: str = "row") -> Pod:
    pod = restricted(name)
    pod["spec"]["serviceAccountName"] = AGENT
    pod["spec"]["volumes"].append({"name": "slots", "hostPath": {"path": FOLDER, "type": "Directory"}})
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "slots", "mountPath": FOLDER}]
    return pod


def node_setup(name: str = "row") -> Pod:
    pod = agent(name)
    pod["spec"]["serviceAccountName"] = SETUP
    pod["spec"]["volumes"][-1]["hostPath"]["type"] = "DirectoryOrCreate"
    pod["spec"]["securityContext"] = {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}}
    pod["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] = ["CHOWN"]
    return pod


def put(path: str, value: Any) -> Change:
    """Sets a field under `spec` (or `metadata`); a number in the path is an index, `-1` the last item."""

    def change(pod: Pod) -> None:
        *folders, last = [int(part) if part.lstrip("-").isdigit() else part for part in path.split("|")]
        place: Any = pod
        for folder in folders:
            place = place.setdefault(folder, {}) if isinstance(place, dict) else place[folder]
        place[last] = value

    return change


def drop(path: str) -> Change:
    """Removes a field, as somebody would who unsets it to get round a check."""

    def change(pod: Pod) -> None:
        *folders, last = [int(part) if part.lstrip("-").isdigit() else part for part in path.split("|")]
        place: Any = pod
        for folder in folders:
            place = place[folder]
        del place[last]

    return change
