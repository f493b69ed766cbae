"""What runs the containers of a local cluster's nodes: one file a runtime, found through `RUNTIMES`."""

from __future__ import annotations

from tools.cluster.errors import ClusterError
from tools.cluster.runtimes.base import Runtime
from tools.cluster.runtimes.containerd import Containerd
from tools.cluster.runtimes.nodebox import Nodebox

RUNTIMES: tuple[Runtime, ...] = (Nodebox(), Containerd())
"""The first is the default."""


def runtime_named(name: str) -> Runtime:
    """The runtime of this name. Raises ClusterError, naming those there are."""
    for runtime in RUNTIMES:
        if runtime.name == name:
            return runtime
    raise ClusterError(f"no container runtime {name!r}: choose one of {', '.join(each.name for each in RUNTIMES)}")
