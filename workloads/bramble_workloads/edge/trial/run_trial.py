"""Tries a package in a child process of its own: golden cases first, then recent inputs, within a memory limit and a time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from bramble_workloads.edge.trial.child import Order, Outcome

LAST_WORDS = 500


class Death(Exception):
    """The child ended without an outcome: a signal, the kernel's want of memory, or too much time. The message says which."""


async def run_trial(package: str, blobs: Path, memory_bytes: int | None, recent: Iterable[bytes], seconds: float) -> Outcome:
    """Try a package. Cancelling it kills the child.

    Raises:
        Death: the child did not live to say what came of it.
    """
    inputs = list(recent)
    order = Order(
        package=package, blobs=str(blobs), memory_bytes=memory_bytes, recent=tuple(len(each) for each in inputs), parent=os.getpid()
    )
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bramble_workloads.edge.trial.child", stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        message = b"".join([order.model_dump_json(by_alias=True).encode(), b"\n", *inputs])
        async with asyncio.timeout(seconds):
            output, errors = await child.communicate(message)
    except TimeoutError:
        raise Death(f"the trial took more than {seconds:.0f} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise Death(f"the trial's process ended {_how(child.returncode)}: {errors.decode(errors='replace').strip()[-LAST_WORDS:]}")
    try:
        return Outcome.model_validate_json(output)
    except ValidationError:
        raise Death(f"the trial's process gave no outcome: {errors.decode(errors='replace').strip()[-LAST_WORDS:]}") from None


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
