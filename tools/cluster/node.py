"""A node from a test's side: what can be done to it, and what runs on it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.cluster.control import ask
from tools.cluster.namespaces import is_first_of_namespace
from tools.cluster.state import State

if TYPE_CHECKING:
    from tools.cluster.cluster import Cluster

READY_SECONDS = 60.0


class Node:
    """One node of a local cluster."""

    def __init__(self, cluster: Cluster, state: State, name: str, address: str) -> None:
        self._cluster = cluster
        self._state = state
        self.name = name
        self.address = address

    @property
    def folder(self) -> Path:
        """Everything the node writes: `pod-logs`, `kubelet`, `host-paths`, the runtime's state in `cri`."""
        return self._state.node(self.name)

    def host_path(self, path: str) -> Path:
        """The host's folder behind a hostPath of this node, such as /var/lib/bramble."""
        return self.folder / "host-paths" / path.strip("/").replace("/", "-")

    def stop_kubelet(self) -> None:
        """SIGKILL: containers run on, the node turns NotReady within 13 s."""
        self._ask("stop_part", part="kubelet")

    def start_kubelet(self) -> None:
        self._ask("start_part", part="kubelet")

    def stop_runtime(self) -> None:
        """SIGKILL the CRI server; containers run on."""
        self._ask("stop_part", part="cri")

    def start_runtime(self) -> None:
        self._ask("start_part", part="cri")

    def partition(self) -> None:
        """Packets from and to this node are dropped; what runs on it runs on and waits for answers."""
        self._ask("partition")

    def heal(self) -> None:
        """End of `partition`."""
        self._ask("heal")

    def kill(self) -> None:
        """The power goes: kubelet, runtime and every container end at once. Its disk stays."""
        self._ask("kill")

    def boot(self) -> None:
        """The power comes back, with the disk as it was."""
        self._ask("boot")

    def ready(self) -> bool:
        """Whether the Node is Ready, takes pods and has its GPUs advertised."""
        return bool(self._ask("node_ready"))

    def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        self._cluster.wait(self.ready, timeout, lambda: self._cluster.kubectl("describe", "node", self.name))

    def wait_not_ready(self, timeout: float = READY_SECONDS) -> None:
        """Until the Node's Ready condition is not True."""
        self._cluster.wait(
            lambda: self._condition() != "True", timeout, lambda: self._cluster.kubectl("describe", "node", self.name), interval=0.2
        )

    def pids(self, pod: str, container: str, namespace: str = "default") -> list[int]:
        """Host process ids of a container, its process 1 first, to be signalled by a test.

        Found by the mounts that the kubelet gives every container (its termination log lies in a folder of the pod's uid and the
        container's name), so that no runtime has to be asked.
        """
        uid = self._cluster.get("pod", pod, namespace)["metadata"]["uid"]
        mark = f"/nodes/{self.name}/kubelet/pods/{uid}/containers/{container}/"
        return _processes_with_mount(mark)

    def _condition(self) -> str:
        document = self._cluster.get("node", self.name)
        return next((each["status"] for each in document["status"]["conditions"] if each["type"] == "Ready"), "Unknown")

    def _ask(self, call: str, **arguments: Any) -> Any:
        return ask(self._state, call, node=self.name, **arguments)


def _processes_with_mount(mark: str) -> list[int]:
    """The process 1 of a namespace first."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked
            if mark in (process / "mountinfo").read_text():
                found.append((not is_first_of_namespace(process), int(process.name)))
    return [pid for _, pid in sorted(found)]


def command_of(pid: int) -> list[str]:
    """A process's arguments; none once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []
