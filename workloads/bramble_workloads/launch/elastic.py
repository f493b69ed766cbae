"""Runs the ranks of this node under torch's elastic agent, in this process, so that the code of the first failure is not lost.

`torchrun` would turn every code into 1 and call its own rank the root cause on each node. One attempt is one group of ranks: no restarts.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from . import worker
from .rendezvous import handler

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.distributed.elastic.agent.server.api import RunResult
    from torch.distributed.elastic.multiprocessing import LogsDest

    from .handshake import RunFolder
    from .logs import Pump
    from .plan import LaunchPlan
    from .watch import Watch

MONITOR_SECONDS = 0.1
ROLE = "trainer"


def run(plan: LaunchPlan, folder: RunFolder, pump: Pump, watch: Watch, refused: Callable[[], bool]) -> bool:
    """Run every local rank to its end.

    Args:
        plan: what to run.
        folder: of this attempt.
        pump: takes the ranks' output.
        watch: is told of the ranks while they run.
        refused: asked on every round; True stops the ranks.

    Returns:
        Whether all ranks of this node succeeded.
    """
    from torch.distributed.elastic.agent.server.api import RunResult, WorkerSpec, WorkerState
    from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
    from torch.distributed.elastic.multiprocessing import LogsDest, LogsSpecs

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the launcher says it better

    class Logs(LogsSpecs):
        """Commands write into the pump's pipes; functions take them by themselves."""

        def reify(self, envs: dict[int, dict[str, str]]) -> LogsDest:
            for local, rank in enumerate(plan.ranks):
                envs[local]["TORCHELASTIC_ERROR_FILE"] = str(folder.error(rank))
            streams = {local: "" if plan.entry else f"/proc/self/fd/{pump.inputs[rank]}" for local, rank in enumerate(plan.ranks)}
            errors = {local: str(folder.error(rank)) for local, rank in enumerate(plan.ranks)}
            return LogsDest(stdouts=streams, stderrs=dict(streams), error_files=errors)

        @property
        def root_log_dir(self) -> str:
            return str(folder.logs)

    class Agent(LocalElasticAgent):
        """torch's agent, with somebody looking over its shoulder."""

        def _start_workers(self, worker_group: Any) -> dict[int, Any]:
            pids: dict[int, Any] = super()._start_workers(worker_group)
            pump.forget()
            return pids

        def _monitor_workers(self, worker_group: Any) -> RunResult:
            if refused():
                return RunResult(state=WorkerState.UNHEALTHY)
            watch.look({member.global_rank: member.id for member in worker_group.workers})
            found: RunResult = super()._monitor_workers(worker_group)
            return found

    function = functools.partial(worker.run, plan.entry, dict(pump.inputs)) if plan.entry else None
    if function is not None:
        functools.update_wrapper(function, worker.run)
    specification = WorkerSpec(
        role=ROLE,
        local_world_size=plan.processes,
        rdzv_handler=handler(plan),
        entrypoint=function or plan.command[0],
        args=() if function else tuple(plan.command[1:]),
        max_restarts=0,
        monitor_interval=MONITOR_SECONDS,
        master_addr=plan.master,
        master_port=plan.port,
    )
    agent = Agent(
        specification,
        Logs(),
        start_method="fork",
        exit_barrier_timeout=plan.barrier_seconds,
        shutdown_timeout=int(plan.grace_seconds),
    )
    result = agent.run()
    return result is not None and not result.is_failed() and result.state == WorkerState.SUCCEEDED
