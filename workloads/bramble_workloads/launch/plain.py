"""Runs the command of one process on one node, in an image without the library of the engine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from .ending import peek

if TYPE_CHECKING:
    from .attempt import Attempt

POLL_SECONDS = 0.1


def run(attempt: Attempt) -> bool:
    """Run the command to its end. Returns True if it succeeded."""
    plan, folder = attempt.plan, attempt.folder
    rank = plan.ranks[0]
    ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    environment = {**os.environ, **ranks, "TORCHELASTIC_ERROR_FILE": str(folder.error(rank))}
    pipe = attempt.pump.inputs[rank]
    process = subprocess.Popen(plan.command, env=environment, stdout=pipe, stderr=pipe, start_new_session=True)
    attempt.pump.forget()
    try:
        while peek(process.pid) is None and not attempt.refused():
            time.sleep(POLL_SECONDS)
        return not attempt.watch.look({rank: process.pid}) and process.poll() == 0
    finally:
        _stop(process, plan.grace_seconds)


def _stop(process: subprocess.Popen[bytes], grace: float) -> None:
    """Send SIGTERM to the command's process group, and SIGKILL after `grace` seconds."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
