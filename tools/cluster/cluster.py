"""The local cluster from a test's, the demo's or the command line's side."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools.cluster import addresses, configs, diagnostics, images, lifecycle, pki, requirements, store
from tools.cluster.binaries import NAMES, ensure
from tools.cluster.control import ask
from tools.cluster.errors import ClusterError
from tools.cluster.images import ImageSource
from tools.cluster.kubectl import Kubectl
from tools.cluster.node import Node
from tools.cluster.progress import Progress, silent
from tools.cluster.runtimes import runtime_named
from tools.cluster.shape import Shape
from tools.cluster.state import State
from tools.cluster.store import S3


class Cluster(Kubectl):
    """A local cluster that runs. Made by `Cluster.up` or `Cluster.named`; `with` ends it."""

    def __init__(self, state: State) -> None:
        description = json.loads(state.description.read_text())
        self.state = state
        self.shape = Shape.from_json(description["shape"])
        self.binaries: Mapping[str, str] = description["binaries"]
        self._store_keys: dict[str, str] = description["store"]
        self.up_seconds: float | None = None
        """How long it took from the supervisor's start to Ready, where this object started it."""
        super().__init__(self.binaries["kubectl"], state.kubeconfig, cache=state.folder / "cache")
        self.nodes = {name: Node(self, state, name, place.address) for name, place in addresses.node_addresses(self.shape).items()}

    @classmethod
    def up(
        cls,
        shape: Shape | None = None,
        *,
        name: str | None = None,
        attached: bool = True,
        image_names: tuple[str, ...] | None = None,
        progress: Progress = silent,
    ) -> Self:
        """Start a cluster and wait until its nodes are Ready.

        Attached it ends with this process, however that ends; otherwise it lives until `down`. `image_names` chooses which of the
        project's images are made (all, where it is None).
        Raises MissingRequirement before anything is touched, ComponentFailed with the log of what did not start.
        """
        shape = shape or Shape()
        requirements.check(shape)
        lifecycle.sweep(progress)
        binaries = find_binaries(progress)
        table = [] if shape.api_only else runtime_named(shape.runtime).images(image_names, progress)
        state = State.named(name or f"run-{os.getpid()}-{secrets.token_hex(2)}")
        lock = state.create()
        try:
            keys = store.new_keys()
            description = {"shape": shape.as_json(), "binaries": binaries, "attached": attached, "store": keys}
            state.write_json(state.description, description)
            pki.make(state.pki, shape)
            images.write_table(state, table)
            configs.write(state, shape)
        except BaseException:
            os.close(lock)
            lifecycle.end(state)
            raise
        started = time.monotonic()
        lifecycle.Launcher(state, lock, attached=attached).launch(progress)
        cluster = cls(state)
        cluster.up_seconds = time.monotonic() - started
        try:
            if shape.store:
                store.make_bucket(cluster.s3)
        except BaseException:
            cluster.down()
            raise
        return cluster

    @classmethod
    def named(cls, name: str) -> Self:
        """A cluster that runs already, detached."""
        state = State.named(name)
        if not state.control_socket.exists() or not state.is_alive():
            raise ClusterError(f"no cluster {name!r} is running: python -m tools.cluster up --name {name}")
        return cls(state)

    def down(self) -> None:
        """End it at once, with everything that runs in it, and remove its folder."""
        lifecycle.end(self.state)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.down()

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def logs(self) -> Path:
        """Logs of all components: `kube-apiserver.log`, `gpu-1.kubelet.log`, …"""
        return self.state.logs

    @property
    def audit_log(self) -> Path:
        """One JSON event a line: who did which verb on what (level Metadata), components of the cluster left out."""
        return self.state.audit_log

    @property
    def s3(self) -> S3:
        return store.store(self.status()["relays"]["s3"], self._store_keys)

    @property
    def images(self) -> dict[str, str]:
        """`reference@sha256:…` by image name: operator, train, convert, edge, and those added."""
        return {image.name: image.pinned for image in reversed(images.read_table(self.state))}

    def add_image(self, source: ImageSource, progress: Progress = silent) -> str:
        """One more image for this cluster, such as a user's own; its `reference@sha256:…`."""
        image = images.build(source, progress)
        images.add_to_table(self.state, image)
        return image.pinned

    def refresh_images(self, progress: Progress = silent) -> None:
        """Give a running cluster the project's images as the code is now; pods that run keep theirs."""
        images.add_to_table(self.state, *images.build_all(progress))

    def forward(self, address: str, port: int) -> int:
        """The port of the host's 127.0.0.1 that leads to an address inside: of a Service, a pod or a node."""
        return int(ask(self.state, "forward", name=f"{address}:{port}", address=address, port=port))

    def forward_service(self, namespace: str, name: str, port: int) -> int:
        """The same for a Service's cluster address, by name."""
        return self.forward(self.get("service", name, namespace)["spec"]["clusterIP"], port)

    def stop(self, process: str) -> None:
        """End a process of the control plane, such as kube-apiserver, as `status` names it."""
        ask(self.state, "stop", process=process)

    def start(self, process: str) -> None:
        """Start it again."""
        ask(self.state, "start", process=process)

    def status(self) -> dict[str, Any]:
        """Processes, restarts, relays and nodes, as the supervisor knows them."""
        answer: dict[str, Any] = ask(self.state, "status")
        return answer

    def dump(self, to: Path) -> Path:
        """Everything that helps to understand a failure, into a folder: objects, events, logs."""
        return diagnostics.dump(self, to, logs=self.logs, pod_logs={name: node.folder / "pod-logs" for name, node in self.nodes.items()})


def find_binaries(progress: Progress) -> dict[str, str]:
    """Paths of all programs; BRAMBLE_BINARIES names a folder that has them, else they are found or built."""
    chosen = os.environ.get("BRAMBLE_BINARIES")
    if chosen:
        return {name: str(Path(chosen) / name) for name in NAMES}
    found = ensure(progress)
    return {name: str(found.path(name)) for name in NAMES}
