"""One node from the supervisor's side: its namespaces, its processes, its link."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tools.cluster import mounts, network
from tools.cluster.addresses import NodeAddress
from tools.cluster.components import Components
from tools.cluster.errors import ClusterError, ComponentFailed
from tools.cluster.namespaces import Namespaces
from tools.cluster.process import Processes, Running
from tools.cluster.runtimes.base import cri_socket
from tools.cluster.shape import NodeShape
from tools.cluster.state import State
from tools.cluster.waiting import until

BOOT_SECONDS = 20.0
PARTS = ("cri", "kubelet", "kube-proxy")


class NodeHost:
    """A node that can be booted, lose its power, its network or its kubelet."""

    def __init__(self, state: State, shape: NodeShape, place: NodeAddress, components: Components, processes: Processes, home: int) -> None:
        self.shape = shape
        self.place = place
        self.cut = False
        self._state = state
        self._components = components
        self._processes = processes
        self._home = home
        self._init: Running | None = None
        self.namespaces: Namespaces | None = None

    @property
    def name(self) -> str:
        return self.shape.name

    @property
    def running(self) -> bool:
        return self._init is not None and self._init.returncode is None

    def _script(self) -> str:
        return mounts.node_script(self._state.node(self.name), self._components.runtime.mounts(self._state, self.name))

    async def boot(self) -> None:
        """Namespaces, mounts, network and the container runtime."""
        if self.running:
            raise ClusterError(f"node {self.name} is running")
        init = self._processes.start_node(f"{self.name}/init", self._script())

        def prepared() -> bool:
            if init.returncode is not None:
                raise ComponentFailed(init.describe())
            return Path(f"/proc/{init.pid}/comm").read_text().strip() == mounts.WAITING

        await until(prepared, BOOT_SECONDS, init.describe)
        self._init = init
        self.namespaces = Namespaces(init.pid)
        network.connect_node(self.place, init.pid, self.namespaces.network, self._home)
        cri_socket(self._state, self.name).unlink(missing_ok=True)
        self.start("cri")

    def start(self, part: str) -> None:
        """Start the kubelet, kube-proxy or container runtime."""
        if self.namespaces is None or not self.running:
            raise ClusterError(f"node {self.name} is down: start the node first")
        running = self._processes.by_name.get(f"{self.name}/{part}")
        if running is not None and running.returncode is None:
            raise ClusterError(f"{part} of node {self.name} is running")
        commands = {
            "cri": lambda: self._components.cri(self.name, self.place),
            "kubelet": lambda: self._components.kubelet(self.name, self.place),
            "kube-proxy": lambda: self._components.kube_proxy(self.name),
        }
        self._processes.start(commands[part](), self.namespaces)

    async def runtime_ready(self) -> None:
        """Wait for the runtime's socket: a kubelet that starts before it exits."""
        socket = cri_socket(self._state, self.name)
        name = f"{self.name}/cri"

        def answers() -> bool:
            self._processes.check(name)
            return socket.is_socket()

        await until(answers, BOOT_SECONDS, self._processes.by_name[name].describe)

    async def stop(self, part: str) -> None:
        """SIGKILL one of its parts, as a crash does."""
        await self._processes.stop(f"{self.name}/{part}", signal.SIGKILL)

    async def kill(self) -> None:
        """The power goes: every process of the node ends at once, containers too, and its link goes down."""
        if self._init is None or self.namespaces is None or not self.running:
            raise ClusterError(f"node {self.name} is down already")
        self._processes.forget([name for part in PARTS if (name := f"{self.name}/{part}") in self._processes.by_name])
        os.kill(self._init.pid, signal.SIGKILL)
        await self._init.ended.wait()
        self.namespaces.close()
        self.namespaces = None
        network.disconnect_node(self.place)

    def partition(self) -> None:
        """Nothing passes between this node and all others until `heal`."""
        network.cut(self.place)
        self.cut = True

    def heal(self) -> None:
        network.heal(self.place)
        self.cut = False

    async def bring_up(self) -> None:
        """Boot, then start all parts."""
        await self.boot()
        await self.runtime_ready()
        self.start("kubelet")
        self.start("kube-proxy")
