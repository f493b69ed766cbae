"""The plan of the launcher: the content of `launch.json`, which fetch writes from the job, and the rank of this pod."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LaunchPlan:
    """The part of an attempt that this node runs.

    Attributes:
        entry: `module:function` of the built-in program, which runs in forked children of the launcher; None for a command.
        command: the user's command and its arguments, which runs once for each rank.
        environment: variables for every rank.
        nodes: the number of pods.
        node_rank: the index of this pod in the Indexed Job.
        processes: the number of ranks on each node.
        engine: the name of the engine that starts the ranks.
        settings: the settings of that engine, such as the address of the first pod.
        run_id: an id of this attempt.
        barrier_seconds: how long nodes wait for each other.
        grace_seconds: the time between SIGTERM and SIGKILL for ranks.
    """

    entry: str | None
    command: list[str]
    environment: dict[str, str]
    nodes: int
    node_rank: int
    processes: int
    engine: str
    settings: dict[str, Any]
    run_id: str
    barrier_seconds: float
    grace_seconds: float

    @property
    def world_size(self) -> int:
        """The number of ranks on all nodes."""
        return self.nodes * self.processes

    @property
    def ranks(self) -> list[int]:
        """Global ranks of this node, by local rank."""
        return [self.node_rank * self.processes + local for local in range(self.processes)]

    @classmethod
    def read(cls, path: Path, environment: Mapping[str, str] = os.environ) -> LaunchPlan:
        """Read the plan of this pod.

        Raises:
            KeyError, ValueError: the file was not written by fetch.
        """
        document: dict[str, Any] = json.loads(path.read_text())
        return cls(
            entry=document["entry"],
            command=document["command"],
            environment=document["environment"],
            nodes=document["nodes"],
            node_rank=int(environment.get("JOB_COMPLETION_INDEX", "0")),
            processes=document["processes"],
            engine=document["engine"],
            settings=document["settings"],
            run_id=document["runId"],
            barrier_seconds=document["barrierSeconds"],
            grace_seconds=document["graceSeconds"],
        )
