"""The objects that all parts of the sidecar use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.store import Store


@dataclass(frozen=True)
class Context:
    """One attempt on one node. `job` is the JSON of a `TrainJob`."""

    job: dict[str, Any]
    store: Store
    run: RunFolder
    node_rank: int
    processes: int

    @property
    def prefix(self) -> str:
        """The run prefix. Except for blobs, the attempt writes only below it."""
        return str(self.job["prefix"])

    @property
    def ranks(self) -> range:
        """The global ranks of this node."""
        return range(self.node_rank * self.processes, (self.node_rank + 1) * self.processes)

    @property
    def world_size(self) -> int:
        """The number of ranks of the attempt."""
        return self.processes * int(self.job["nodes"])
