"""What a local cluster asks of a container runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tools.cluster.addresses import NodeAddress
from tools.cluster.images import Image
from tools.cluster.process import Command
from tools.cluster.progress import Progress
from tools.cluster.state import State


class Runtime(Protocol):
    """A CRI server a node, and where its images come from."""

    @property
    def name(self) -> str:
        """The name by which a shape chooses it."""

    def problems(self) -> list[str]:
        """What this machine lacks for it, each with the command that mends it."""

    def images(self, names: tuple[str, ...] | None, progress: Progress) -> list[Image]:
        """Make the project's images, all or some of them, and return their lines of the image table."""

    def prepare(self, state: State, node: str, place: NodeAddress) -> None:
        """Write what the node's runtime reads when it starts. Called once, after the image table is written and before the start."""

    def mounts(self, state: State, node: str) -> list[str]:
        """Shell commands that prepare the node's mounts each time that it boots."""

    def command(self, state: State, binaries: Mapping[str, str], node: str, place: NodeAddress) -> Command:
        """The process to run in the node; it listens on `cri_socket(state, node)`."""

    def clear(self, state: State) -> None:
        """Remove what the kernel keeps of this cluster after its last process has ended."""


def cri_socket(state: State, node: str) -> Path:
    """Where the kubelet finds the runtime of a node."""
    return state.node(node) / "cri.sock"


def host_paths(state: State, node: str) -> Path:
    """The file that maps hostPath prefixes to a folder of the node's own: all nodes share one host."""
    return state.node(node) / "host-paths.json"
