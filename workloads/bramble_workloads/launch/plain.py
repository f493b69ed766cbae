"""One node, and an image without torch: the command itself, once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from .ending import peek

if TYPE_CHECKING:
    from collections.abc import Callable

    from .handshake import RunFolder
    from .logs import Pump
    from .plan import LaunchPlan
    from .watch import Watch

POLL_SECONDS = 0.1


def run(plan: LaunchPlan, folder: RunFolder, pump: Pump, watch: Watch, refused: Callable[[], bool]) -> bool:
    """Run the command to its end; whether it succeeded. The same arguments as `elastic.run`."""
    rank = plan.ranks[0]
    ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    environment = {**os.environ, **ranks, "TORCHELASTIC_ERROR_FILE": str(folder.error(rank))}
    pipe = pump.inputs[rank]
    process = subprocess.Popen(plan.command, env=environment, stdout=pipe, stderr=pipe, start_new_session=True)
    pump.forget()
    try:
        while peek(process.pid) is None and not refused():
            time.sleep(POLL_SECONDS)
        return not watch.look({rank: process.pid}) and process.poll() == 0
    finally:
        _stop(process, plan.grace_seconds)


def _stop(process: subprocess.Popen[bytes], grace: float) -> None:
    """SIGTERM to the command's whole group, and SIGKILL after the grace."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
