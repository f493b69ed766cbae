"""From the plan to the exit code: ranks, causes, the sidecar's acknowledgement, the last word."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from . import handshake, plain
from .ending import BAD_DATA, PRECEDENCE, SPEC_ERROR, TRY_AGAIN, exit_code
from .handshake import RunFolder
from .logs import Pump
from .plan import LaunchPlan
from .rendezvous import NotThere, await_master, serve_store
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

POLL_SECONDS = 0.02
SIDECAR_SECONDS = 60.0
"""Without a sign of life from the sidecar for so long, nobody will upload: leave, and let a new attempt try."""
TERMINATION_LOG = "/dev/termination-log"


class Unfit(Exception):
    """A program of ours cannot do what it is asked to; `cause` says why."""

    def __init__(self, cause: dict[str, Any]) -> None:
        super().__init__(cause["message"])
        self.cause = cause


class Leave(BaseException):
    """SIGTERM before there are ranks that could be told."""


def main(root: str) -> int:
    """Run the attempt of which `root` is the run folder; the exit code of the container."""
    folder = RunFolder(root)
    plan = LaunchPlan.read(folder.plan)
    os.environ.update(plan.environment)
    signal.signal(signal.SIGTERM, _leave)
    pump = Pump({rank: folder.log(rank) for rank in plan.ranks})
    watch = Watch(plan, folder)
    causes: list[dict[str, Any]] = []
    succeeded = False
    try:
        succeeded = _ranks(plan, folder, pump, watch)
    except Leave:
        causes.append(_terminated())
    except Unfit as error:
        causes.append(error.cause)
    except NotThere as error:
        causes.append({"kind": "TryAgain", "message": str(error)})
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        causes.append({"kind": "SpecError", "message": f"the command {plan.command} cannot be run in this image: {error.strerror}"})
    except ImportError as error:
        causes.append({"kind": "SpecError", "message": f"this image cannot run the trainer: {error}"})
    except RuntimeError as error:  # torch.distributed's: the store, or the nodes that did not come to it
        causes.append({"kind": "TryAgain", "message": f"the nodes did not find each other: {error}"})
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what follows is already leaving
    pump.finish()
    return _finish(folder, [] if succeeded else [*watch.report(final=True), *causes, *_refusal(folder)])


def _ranks(plan: LaunchPlan, folder: RunFolder, pump: Pump, watch: Watch) -> bool:
    """Start the ranks and see them end. torch is imported before the barrier: by then the other nodes have come this far too."""

    def refused() -> bool:
        return folder.refused.exists()

    if importlib.util.find_spec("torch") is None:
        if plan.nodes > 1 or plan.processes > 1 or plan.entry:
            raise ImportError(f"it has no torch, which {plan.nodes} nodes with {plan.processes} processes each need")
        return plain.run(plan, folder, pump, watch, refused)
    _prepare(plan)
    if plan.node_rank == 0:
        serve_store(plan)  # to the very end: other nodes may still have to learn of it that all is over
    return _elastic(plan, folder, pump, watch, refused)


def _elastic(plan: LaunchPlan, folder: RunFolder, pump: Pump, watch: Watch, refused: Callable[[], bool]) -> bool:
    from torch.distributed.elastic.multiprocessing.api import SignalException

    from . import elastic

    await_master(plan)
    try:
        return elastic.run(plan, folder, pump, watch, refused)
    except SignalException as error:
        raise Leave from error


def _prepare(plan: LaunchPlan) -> None:
    """Import what the ranks will need, once for all of them: a forked child has it for nothing."""
    if plan.entry:
        found = importlib.import_module(plan.entry.partition(":")[0]).prepare()
        if found is not None:
            raise Unfit(found)
    importlib.import_module("torch")


def _finish(folder: RunFolder, causes: list[dict[str, Any]]) -> int:
    """Tell the sidecar, wait until it has uploaded everything, and leave its last word."""
    code = 0
    if causes:
        handshake.write(folder.causes, {"causes": causes})
        first = min(causes, key=lambda found: (PRECEDENCE.index(found["kind"]), found.get("rank", 0)))
        code = exit_code(first)
        _say(f"{first['kind']}: {first['message']} (code {code})")
    handshake.write(folder.finished, {"code": code})
    waiting = time.monotonic()
    while (answer := handshake.read(folder.acknowledged)) is None:
        silent = handshake.age(folder.heartbeat)
        if min(time.monotonic() - waiting, silent if silent is not None else SIDECAR_SECONDS) >= SIDECAR_SECONDS:
            _say(f"the sidecar has been silent for {SIDECAR_SECONDS:g} s: nothing was acknowledged")
            return code or TRY_AGAIN
        time.sleep(POLL_SECONDS)
    _last_word(answer["termination"])
    if not code and answer["code"]:
        _say(f"the sidecar refuses the output: {answer['message']} (code {answer['code']})")
    return code or int(answer["code"])


def _refusal(folder: RunFolder) -> list[dict[str, Any]]:
    """Why the sidecar wanted the ranks stopped, where it did."""
    found = handshake.read(folder.refused)
    if found is None:
        return []
    return [{"kind": {SPEC_ERROR: "SpecError", BAD_DATA: "BadData"}.get(found["code"], "TryAgain"), "message": found["message"]}]


def _terminated() -> dict[str, Any]:
    return {"kind": "Terminated", "message": "the pod was asked to leave (SIGTERM): deleted, preempted, or its node drained"}


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise Leave


def _last_word(termination: dict[str, Any]) -> None:
    path = os.environ.get("BRAMBLE_TERMINATION_LOG", TERMINATION_LOG)
    try:
        with open(path, "w") as file:  # noqa: PTH123
            json.dump(termination, file)
    except OSError as error:
        _say(f"{path} cannot be written: {error.strerror}")


def _say(message: str) -> None:
    sys.stdout.write(f"[launcher] {message}\n")
    sys.stdout.flush()
