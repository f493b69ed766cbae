"""Tries a package in a child process with a memory limit and a time limit: first its golden cases, then recent inputs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from bramble_workloads.edge.trial.child import TrialOutcome, TrialRequest

MAX_STDERR_CHARS = 500
"""Characters of the child's standard error that a message quotes."""


class TrialCrashed(Exception):
    """The child process ended without an outcome: by a signal, for lack of memory, or at the time limit. The message says which."""


async def run_trial(package: str, blobs: Path, memory_bytes: int | None, recent: Iterable[bytes], seconds: float) -> TrialOutcome:
    """Try a package. When the caller is cancelled, the child process is killed.

    Args:
        package: the digest of the package. Its blobs must be on the disk.
        blobs: the folder `blobs`.
        memory_bytes: the memory that the child may use; None for no limit.
        recent: pictures that this device has answered recently.
        seconds: the time limit of the whole trial.

    Raises:
        TrialCrashed: the child ended without an outcome.
    """
    inputs = list(recent)
    request = TrialRequest(
        package=package, blobs=str(blobs), memory_bytes=memory_bytes, recent=tuple(len(each) for each in inputs), parent=os.getpid()
    )
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bramble_workloads.edge.trial.child", stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        message = b"".join([request.model_dump_json(by_alias=True).encode(), b"\n", *inputs])
        async with asyncio.timeout(seconds):
            output, errors = await child.communicate(message)
    except TimeoutError:
        raise TrialCrashed(f"the trial took longer than {seconds:.0f} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise TrialCrashed(
            f"the trial's process ended {_describe_exit(child.returncode)}: {errors.decode(errors='replace').strip()[-MAX_STDERR_CHARS:]}"
        )
    try:
        return TrialOutcome.model_validate_json(output)
    except ValidationError:
        raise TrialCrashed(
            f"the trial's process ended without an outcome: {errors.decode(errors='replace').strip()[-MAX_STDERR_CHARS:]}"
        ) from None


def _describe_exit(code: int | None) -> str:
    if code is None or code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
