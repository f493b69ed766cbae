"""The local cluster: a real control plane and real kubelets on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from tools.cluster.cluster import Cluster
from tools.cluster.progress import Progress
from tools.cluster.shape import Shape


@dataclass(frozen=True)
class Local:
    """Named by the runtime of its nodes (tools/cluster/runtimes)."""

    name: str

    def up(self, name: str | None, *, attached: bool, progress: Progress) -> Cluster:
        return Cluster.up(Shape(runtime=self.name), name=name, attached=attached, progress=progress)
