"""Runs an attempt: starts the ranks, reports their causes, waits for the sidecar, and writes the termination message and the exit code."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import json
import os
import sys
import time
from typing import Any

from . import handshake, plain
from .attempt import Attempt
from .ending import BAD_DATA, PRECEDENCE, SPEC_ERROR, TRY_AGAIN, exit_code
from .engines.catalogue import engine_named
from .errors import NodesMissing, SpecificationRefused, Terminated
from .handshake import RunFolder
from .logs import Pump
from .plan import LaunchPlan
from .sigterm import Sigterm
from .watch import Watch

POLL_SECONDS = 0.02
SIDECAR_SECONDS = 60.0
"""If the sidecar's heartbeat is missing for this long, nothing will be uploaded. The launcher ends, and a new attempt starts."""
TERMINATION_LOG = "/dev/termination-log"
CANNOT_RUN = {
    errno.ENOENT: "there is no such file, or the interpreter that its first line names is missing",
    errno.EACCES: "the file is not executable; make it so, or run it with its interpreter, as in [python, train.py]",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a part of its path is not a folder",
    errno.ENOEXEC: "the file is no program of this processor and its first line names no interpreter; begin it with #!/usr/bin/env python3",
    errno.E2BIG: "its arguments and environment are too long for Linux (128 KiB each); put long values into a file",
}
"""Why Linux does not start a command, by error number. Each is the command's own fault, and another attempt would meet it again."""
LONGEST_COMMAND = 200
ASKED_TO_END = "the pod was asked to end (SIGTERM): it was deleted, preempted or evicted, or its node was drained or shut down"
STARTUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "startup")  # noqa: PTH100, PTH118, PTH120
"""Python processes of the user's command import `sitecustomize` from here, which lets them end faster."""


def main(root: str) -> int:
    """Run the attempt whose run folder is `root`. Returns the exit code of the container."""
    folder = RunFolder(root)
    plan = LaunchPlan.read(folder.plan)
    os.environ.update(plan.environment)
    os.environ["PYTHONPATH"] = os.pathsep.join([STARTUP, *filter(None, [os.environ.get("PYTHONPATH")])])
    sigterm = Sigterm(Terminated)
    pump = Pump({rank: folder.log(rank) for rank in plan.ranks})
    watch = Watch(plan, folder)
    causes: list[dict[str, Any]] = []
    succeeded = False
    try:
        with sigterm:
            succeeded = _run_ranks(Attempt(plan, folder, pump, watch))
    except Terminated:
        watch.asked_to_end = True
        causes.append({"kind": "Disrupted", "message": ASKED_TO_END})
    except SpecificationRefused as error:
        causes.append(error.cause)
    except NodesMissing as error:
        causes.append({"kind": "TryAgain", "message": str(error)})
    except OSError as error:
        if error.errno not in CANNOT_RUN:
            raise
        shown = str(plan.command)
        shown = shown if len(shown) <= LONGEST_COMMAND else f"{shown[:LONGEST_COMMAND]}…"
        causes.append({"kind": "SpecError", "message": f"the command {shown} cannot be run in this image: {CANNOT_RUN[error.errno]}"})
    except RuntimeError as error:  # raised by a library, for example if the CUDA driver does not match
        causes.append({"kind": "Error", "message": f"the ranks could not be started: {error}"})
    except ValueError as error:
        if "null byte" not in str(error):
            raise
        causes.append(
            {"kind": "SpecError", "message": "trainer.container.command or args has a NUL character, which no program can be given"}
        )
    except ImportError as error:
        causes.append({"kind": "SpecError", "message": f"this image cannot run the trainer: {error}"})
    pump.finish()
    return _finish(folder, [] if succeeded else [*watch.final_causes(), *causes, *_refusal(folder)])


def _run_ranks(attempt: Attempt) -> bool:
    """Run the ranks of this node to their end. Returns whether all succeeded."""
    plan, engine = attempt.plan, engine_named(attempt.plan.engine)
    if importlib.util.find_spec(engine.library) is None:
        if plan.nodes > 1 or plan.processes > 1 or plan.entry:
            raise ImportError(f"it lacks {engine.library}, which {plan.nodes} nodes with {plan.processes} processes each need")
        return plain.run(attempt)
    if plan.entry:
        # This imports the modules that the ranks need. They are forked from this process, so they need not import them again.
        found = importlib.import_module(plan.entry.partition(":")[0]).prepare()
        if found is not None:
            raise SpecificationRefused(found)
    return engine.run(attempt)


def _finish(folder: RunFolder, causes: list[dict[str, Any]]) -> int:
    """Tell the sidecar that the run ended, wait until it has uploaded everything, and write the termination message. Returns the code."""
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
            _say(f"the sidecar has not answered for {SIDECAR_SECONDS:g} s: the end of the run is not acknowledged")
            return code or TRY_AGAIN
        time.sleep(POLL_SECONDS)
    _write_termination(answer["termination"])
    if not code and answer["code"]:
        _say(f"the sidecar refuses the output: {answer['message']} (code {answer['code']})")
    return code or int(answer["code"])


def _refusal(folder: RunFolder) -> list[dict[str, Any]]:
    """The cause if the store refused this run; an empty list otherwise."""
    found = handshake.read(folder.refused)
    if found is None:
        return []
    return [{"kind": {SPEC_ERROR: "SpecError", BAD_DATA: "BadData"}.get(found["code"], "TryAgain"), "message": found["message"]}]


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
