"""Runs the ranks of this node under torch's elastic agent, inside the launcher, so that the exit code of the first failure is kept.

The command `torchrun` would turn every exit code into 1, and would call one of its own ranks the root cause on each node.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import TYPE_CHECKING, Any

from ... import worker
from .rendezvous import handler, master

if TYPE_CHECKING:
    from torch.distributed.elastic.agent.server.api import RunResult
    from torch.distributed.elastic.multiprocessing import LogsDest

    from ...attempt import Attempt

MONITOR_SECONDS = 0.1
ROLE = "trainer"


def run(attempt: Attempt) -> bool:
    """Run every local rank to its end. Returns True if all of them succeeded."""
    from torch.distributed.elastic.agent.server.api import RunResult, WorkerSpec, WorkerState
    from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
    from torch.distributed.elastic.multiprocessing import LogsDest, LogsSpecs

    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGINT,SIGHUP,SIGQUIT"  # the launcher itself handles SIGTERM
    plan, folder, pump, watch = attempt.plan, attempt.folder, attempt.pump, attempt.watch
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the launcher reports failures itself

    class Logs(LogsSpecs):
        """The output of ranks: a command writes into the pipes of the pump, and the built-in program redirects its output itself."""

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
        """torch's agent. In every round it also shows the ranks to the watch."""

        def _start_workers(self, worker_group: Any) -> dict[int, Any]:
            pids: dict[int, Any] = super()._start_workers(worker_group)
            pump.forget()
            return pids

        def _monitor_workers(self, worker_group: Any) -> RunResult:
            if attempt.refused():
                return RunResult(state=WorkerState.UNHEALTHY)
            watch.look({member.global_rank: member.id for member in worker_group.workers})
            found: RunResult = super()._monitor_workers(worker_group)
            return found

    function = functools.partial(worker.run, plan.entry, dict(pump.inputs)) if plan.entry else None
    if function is not None:
        functools.update_wrapper(function, worker.run)
    address, port = master(plan)
    specification = WorkerSpec(
        role=ROLE,
        local_world_size=plan.processes,
        rdzv_handler=handler(plan),
        entrypoint=function or plan.command[0],
        args=() if function else tuple(plan.command[1:]),
        max_restarts=0,
        monitor_interval=MONITOR_SECONDS,
        master_addr=address,
        master_port=port,
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
