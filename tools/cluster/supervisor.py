"""The one process that owns a cluster: process 1 of its PID namespace.

    unshare --mount --pid --fork --kill-child --mount-proc  python -m tools.cluster.supervisor FOLDER

Killing it ends every process, mount, namespace and link of the cluster, because the kernel does that for process 1. It starts in the
host's network namespace, of which it keeps a descriptor for relays, and moves into one of its own, the router's.
It speaks to whoever started it by lines of JSON on its standard output until it is ready, and by its control socket from then on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from tools.cluster import addresses, bootstrap, configs, network
from tools.cluster.api import Api
from tools.cluster.components import Components
from tools.cluster.control import serve
from tools.cluster.errors import ClusterError
from tools.cluster.namespaces import network_of, unshare_network
from tools.cluster.node_host import NodeHost
from tools.cluster.process import Processes
from tools.cluster.relay import Relays, Target
from tools.cluster.runtimes import runtime_named
from tools.cluster.shape import Shape
from tools.cluster.state import State
from tools.cluster.waiting import until

CONTROL_PLANE_SECONDS = 60.0
NODES_SECONDS = 60.0


class Supervisor:
    """Starts everything in an order that keeps two cores busy, then answers the control socket."""

    def __init__(self, state: State, host: int) -> None:
        description = json.loads(state.description.read_text())
        self.state = state
        self.shape = Shape.from_json(description["shape"])
        self._keys = (description["store"]["access_key"], description["store"]["secret_key"])
        self._started = time.monotonic()
        self._home = network_of()
        self.processes = Processes(state.logs)
        self._components = Components(state, description["binaries"], runtime_named(self.shape.runtime))
        self.api = Api(state)
        self.relays = Relays(host, self._home)
        self._following: set[asyncio.Task[None]] = set()
        places = addresses.node_addresses(self.shape)
        self.nodes = {
            node.name: NodeHost(state, node, places[node.name], self._components, self.processes, self._home) for node in self.shape.nodes
        }

    def say(self, text: str) -> None:
        emit({"progress": text, "seconds": round(time.monotonic() - self._started, 1)})

    async def start(self) -> None:
        self.processes.watch()
        network.set_up_router()
        await self._open_relays()
        self.processes.start(self._components.etcd())
        self.processes.start(self._components.apiserver(controllers=not self.shape.api_only))
        if self.shape.store:
            self.processes.start(self._components.store(*self._keys))
        for node in self.nodes.values():
            await node.boot()
        await self._api_ready()
        self.say("API server is ready")
        await bootstrap.create(self.api, self.shape)
        if not self.shape.api_only:
            await self._start_nodes()

    async def _open_relays(self) -> None:
        """The fixed ways in, and the kubeconfig that uses one of them."""
        port = await self.relays.open("apiserver", Target(addresses.CORE, addresses.API_PORT, self._router))
        if self.shape.store:
            await self.relays.open("s3", Target(addresses.CORE, addresses.STORE_PORT, self._router))
        self.state.write_json(self.state.kubeconfig, configs.kubeconfig(self.state, "admin", f"https://127.0.0.1:{port}"))

    async def _api_ready(self) -> None:
        names = ("etcd", "kube-apiserver")

        async def ready() -> bool:
            self.processes.check(*names)
            try:
                await self.api.request("GET", "/readyz")
            except (OSError, ClusterError):  # not listening yet, or a start-up hook has not finished
                return False
            return True

        await until(ready, CONTROL_PLANE_SECONDS, self.processes.by_name["kube-apiserver"].describe)

    async def _start_nodes(self) -> None:
        components = self._components
        for node in self.nodes.values():
            await node.runtime_ready()
            node.start("kubelet")
        for command in (components.controller_manager(), components.scheduler(), components.coredns()):
            self.processes.start(command)
        for node in self.nodes.values():
            node.start("kube-proxy")
        self.say(f"control plane and {len(self.nodes)} kubelets are starting")
        await until(self._all_ready, NODES_SECONDS, self._not_ready)
        self.say(f"{len(self.nodes)} nodes are Ready")

    async def _all_ready(self) -> bool:
        self.processes.check("kube-controller-manager", "kube-scheduler", "coredns")
        waiting = [name for name in self.nodes if not await self.node_ready(name)]
        return not waiting

    async def node_ready(self, name: str) -> bool:
        """Whether a node takes pods, as far as the API server answers; its GPUs are advertised as soon as its kubelet has registered."""
        node = self.nodes[name]
        try:
            document = await self.api.request("GET", f"/api/v1/nodes/{name}")
            if not bootstrap.is_ready(document):
                return False
            if node.shape.gpus and bootstrap.GPU not in document["status"]["allocatable"]:
                await bootstrap.advertise_gpus(self.api, node.shape)
        except OSError:
            return False
        advertised: str = document["status"]["allocatable"].get(bootstrap.GPU, "0")
        return advertised == str(node.shape.gpus)

    def follow_boot(self, name: str) -> None:
        """Advertise the GPUs of a node that was booted, as soon as it is Ready, whether anybody waits for that or not."""

        async def follow() -> None:
            try:
                await until(partial(self.node_ready, name), NODES_SECONDS, self.processes.by_name[f"{name}/kubelet"].describe, interval=0.5)
            except ClusterError as error:  # its kubelet's log says more; who waits for the node sees it too
                print(f"node {name} was booted and is not Ready: {error}", file=sys.stderr, flush=True)

        task = asyncio.create_task(follow())
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    def _not_ready(self) -> str:
        return "\n\n".join(
            running.describe()
            for name, running in sorted(self.processes.by_name.items())
            if name.endswith("/kubelet") or running.returncode
        )

    def _router(self) -> int:
        return self._home

    def _some_node(self) -> int:
        """The network of a node that runs: kube-proxy there makes Services reachable, which it does not in the router's namespace."""
        for node in self.nodes.values():
            if node.namespaces is not None and not node.cut:
                return node.namespaces.network
        raise ClusterError("no running node to connect from")

    async def forward(self, name: str, address: str, port: int) -> int:
        """A host port that leads to an address inside: of a pod, a node or a Service."""
        origin = self._router if address == addresses.CORE else self._some_node
        return await self.relays.open(name, Target(address, port, origin))

    def status(self) -> dict[str, Any]:
        """What runs, as plain data."""
        return {
            "processes": {
                name: {"pid": running.pid, "returncode": running.returncode} for name, running in sorted(self.processes.by_name.items())
            },
            "restarted": self.processes.restarted,
            "relays": self.relays.ports,
            "nodes": {name: {"running": node.running, "cut": node.cut} for name, node in self.nodes.items()},
        }


def emit(document: dict[str, Any]) -> None:
    """One line for whoever started this cluster."""
    print(json.dumps(document), flush=True)


def end_with_parent() -> None:
    """End at once when standard input ends: an attached cluster's parent holds the other side."""
    if not os.read(sys.stdin.fileno(), 1):
        os._exit(0)


async def supervise(state: State, host: int) -> None:
    """Start the cluster, say so, and serve until killed."""
    supervisor = Supervisor(state, host)
    if json.loads(state.description.read_text())["attached"]:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), end_with_parent)
    try:
        await supervisor.start()
    except (ClusterError, OSError) as error:
        emit({"failed": str(error)})
        os._exit(1)
    server = await serve(supervisor)
    emit({"ready": True, "relays": supervisor.relays.ports})
    log = os.open(state.log("supervisor"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(log, stream)
    await server.serve_forever()


def main() -> None:
    state = State(Path(sys.argv[1]))
    host = network_of()
    unshare_network()
    asyncio.run(supervise(state, host))


if __name__ == "__main__":
    main()
