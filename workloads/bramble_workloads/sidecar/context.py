"""What every part of the sidecar works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.store import Store


@dataclass(frozen=True)
class Context:
    """One attempt on one node; `job` is the plain JSON of a `TrainJob`."""

    job: dict[str, Any]
    store: Store
    run: RunFolder
    node_rank: int
    processes: int

    @property
    def prefix(self) -> str:
        """Of everything that this attempt may write, beside blobs."""
        return str(self.job["prefix"])

    @property
    def ranks(self) -> range:
        """Global ranks of this node."""
        return range(self.node_rank * self.processes, (self.node_rank + 1) * self.processes)

    @property
    def world_size(self) -> int:
        """Ranks in all."""
        return self.processes * int(self.job["nodes"])
