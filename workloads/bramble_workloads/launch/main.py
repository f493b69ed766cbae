"""From the plan to the exit code: the ranks, their causes, the sidecar's acknowledgement, and the termination message."""

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
from .attempt import Attempt
from .ending import BAD_DATA, PRECEDENCE, SPEC_ERROR, TRY_AGAIN, exit_code
from .engines.catalogue import engine_named
from .errors import NodesMissing, Terminated, Unfit
from .handshake import RunFolder
from .logs import Pump
from .plan import LaunchPlan
from .watch import Watch

if TYPE_CHECKING:
    from types import FrameType

POLL_SECONDS = 0.02
SIDECAR_SECONDS = 60.0
"""If the sidecar gives no sign of life for so long, nobody will upload anything. The launcher leaves, and a new attempt tries again."""
TERMINATION_LOG = "/dev/termination-log"
STARTUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "startup")  # noqa: PTH100, PTH118, PTH120
"""Python processes of the user's command import `sitecustomize` from here, which lets them end faster."""


def main(root: str) -> int:
    """Run the attempt whose run folder is `root`. Returns the exit code of the container."""
    folder = RunFolder(root)
    plan = LaunchPlan.read(folder.plan)
    os.environ.update(plan.environment)
    os.environ["PYTHONPATH"] = os.pathsep.join([STARTUP, *filter(None, [os.environ.get("PYTHONPATH")])])
    signal.signal(signal.SIGTERM, _leave)
    pump = Pump({rank: folder.log(rank) for rank in plan.ranks})
    watch = Watch(plan, folder)
    causes: list[dict[str, Any]] = []
    succeeded = False
    try:
        succeeded = _run_ranks(Attempt(plan, folder, pump, watch))
    except Terminated:
        causes.append({"kind": "Terminated", "message": "the pod was asked to leave (SIGTERM): deleted, preempted, or its node drained"})
    except Unfit as error:
        causes.append(error.cause)
    except NodesMissing as error:
        causes.append({"kind": "TryAgain", "message": str(error)})
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        causes.append({"kind": "SpecError", "message": f"the command {plan.command} cannot be run in this image: {error.strerror}"})
    except RuntimeError as error:  # of a library, such as a CUDA driver that does not fit
        causes.append({"kind": "Error", "message": f"the ranks could not be started: {error}"})
    except ImportError as error:
        causes.append({"kind": "SpecError", "message": f"this image cannot run the trainer: {error}"})
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the launcher is already leaving
    pump.finish()
    return _finish(folder, [] if succeeded else [*watch.report(final=True), *causes, *_refusal(folder)])


def _run_ranks(attempt: Attempt) -> bool:
    """Run the ranks of this node to their end. Returns whether all succeeded."""
    plan, engine = attempt.plan, engine_named(attempt.plan.engine)
    if importlib.util.find_spec(engine.library) is None:
        if plan.nodes > 1 or plan.processes > 1 or plan.entry:
            raise ImportError(f"it has no {engine.library}, which {plan.nodes} nodes with {plan.processes} processes each need")
        return plain.run(attempt)
    if plan.entry:
        # Imports what the ranks need once for all of them: a forked child has it for nothing.
        found = importlib.import_module(plan.entry.partition(":")[0]).prepare()
        if found is not None:
            raise Unfit(found)
    return engine.run(attempt)


def _finish(folder: RunFolder, causes: list[dict[str, Any]]) -> int:
    """Tell the sidecar that the run ended, wait until it has uploaded everything, and leave its termination message."""
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
    _write_termination(answer["termination"])
    if not code and answer["code"]:
        _say(f"the sidecar refuses the output: {answer['message']} (code {answer['code']})")
    return code or int(answer["code"])


def _refusal(folder: RunFolder) -> list[dict[str, Any]]:
    """Why the sidecar wanted the ranks stopped, as a list of at most one cause."""
    found = handshake.read(folder.refused)
    if found is None:
        return []
    return [{"kind": {SPEC_ERROR: "SpecError", BAD_DATA: "BadData"}.get(found["code"], "TryAgain"), "message": found["message"]}]


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _write_termination(message: dict[str, Any]) -> None:
    path = os.environ.get("BRAMBLE_TERMINATION_LOG", TERMINATION_LOG)
    try:
        with open(path, "w") as file:  # noqa: PTH123
            json.dump(message, file)
    except OSError as error:
        _say(f"{path} cannot be written: {error.strerror}")


def _say(message: str) -> None:
    sys.stdout.write(f"[launcher] {message}\n")
    sys.stdout.flush()
