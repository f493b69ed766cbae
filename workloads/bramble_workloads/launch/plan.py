"""What to launch: `launch.json`, which fetch writes from the job, and this pod's own rank."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LaunchPlan:
    """One attempt as this node sees it.

    Attributes:
        entry: `module:function` of a training program of ours, run in forked children of the launcher; None for a command.
        command: the user's command and its arguments, run once a rank.
        environment: variables for every rank.
        nodes: number of pods.
        node_rank: this pod's, from the Indexed Job.
        processes: ranks on each node.
        master: DNS name of node rank 0's pod.
        port: of the rendezvous store there.
        run_id: tells attempts apart in the store.
        barrier_seconds: how long nodes wait for each other.
        grace_seconds: between SIGTERM and SIGKILL for ranks.
    """

    entry: str | None
    command: list[str]
    environment: dict[str, str]
    nodes: int
    node_rank: int
    processes: int
    master: str
    port: int
    run_id: str
    barrier_seconds: float
    grace_seconds: float

    @property
    def world_size(self) -> int:
        """Ranks in all."""
        return self.nodes * self.processes

    @property
    def ranks(self) -> list[int]:
        """Global ranks of this node, by local rank."""
        return [self.node_rank * self.processes + local for local in range(self.processes)]

    @classmethod
    def read(cls, path: Path, environment: Mapping[str, str] = os.environ) -> LaunchPlan:
        """The plan of this pod. Raises KeyError or ValueError where fetch did not write what this launcher knows."""
        document: dict[str, Any] = json.loads(path.read_text())
        return cls(
            entry=document["entry"],
            command=document["command"],
            environment=document["environment"],
            nodes=document["nodes"],
            node_rank=int(environment.get("JOB_COMPLETION_INDEX", "0")),
            processes=document["processes"],
            master=document["master"],
            port=document["port"],
            run_id=document["runId"],
            barrier_seconds=document["barrierSeconds"],
            grace_seconds=document["graceSeconds"],
        )
