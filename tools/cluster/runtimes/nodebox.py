"""The default runtime: a CRI server of this project that runs each container as a sandboxed local process.

It needs no images: a container sees the host's /usr, an environment and a copy of the code. That makes it quick to start and quick to
change, and is why limits of memory and CPU have no effect in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tools.cluster import addresses, images
from tools.cluster.addresses import NodeAddress
from tools.cluster.images import Image
from tools.cluster.process import Command
from tools.cluster.progress import Progress
from tools.cluster.runtimes.base import cri_socket, host_paths
from tools.cluster.state import State


class Nodebox:
    """`tools/cluster/nodebox`, built with the cluster's binaries."""

    name = "nodebox"

    def problems(self) -> list[str]:
        return []

    def images(self, names: tuple[str, ...] | None, progress: Progress) -> list[Image]:
        return images.build_all(progress, names)

    def prepare(self, state: State, node: str, place: NodeAddress) -> None:  # noqa: ARG002
        (state.node(node) / "cri").mkdir(parents=True)

    def mounts(self, state: State, node: str) -> list[str]:  # noqa: ARG002  the CRI server makes the mounts of its containers itself
        return []

    def command(self, state: State, binaries: Mapping[str, str], node: str, place: NodeAddress) -> Command:
        folder = state.node(node)
        arguments = (
            *("--socket", str(cri_socket(state, node))),
            *("--state", str(folder / "cri")),
            *("--images", str(state.images)),
            *("--host-paths", str(host_paths(state, node))),
            *("--node", node),
            *("--node-address", place.address),
            *("--stream-port", str(addresses.STREAM_PORT)),
            *("--pod-cidr", place.pod_cidr),
            *("--log", str(state.log(f"{node}/cri"))),
        )
        return Command(f"{node}/cri", (binaries["cri"], *arguments))

    def clear(self, state: State) -> None:
        """Nothing: every process, mount and link ends with the cluster's first process."""
