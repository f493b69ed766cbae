"""Tries a package in a child process with a memory limit and a time limit: first its golden cases, then recent inputs.

What may have a cause outside the package, such as too little memory or time, or an input on which every package fails, is judged by
comparison: the package that serves is tried in the same way, and where it fails too, the package is not to blame.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from bramble_workloads.edge.trial.child import TrialOutcome, TrialRequest
from bramble_workloads.errors import TryAgain
from bramble_workloads.processing.decoding_memory import MEMORY

MAX_REJECTED_SHARE = 0.1
"""The share of recent inputs that a candidate may reject. The previous version answered all of them, so a candidate that rejects more of
them expects other pictures than this device has."""
RECENT_PART = 3
"""Recent inputs may take one of so many parts of the time of a trial."""
MAX_STDERR_CHARS = 500
"""Characters of the child's standard error that a message quotes."""


class TrialCrashed(Exception):
    """The child process ended without an outcome: by a signal, for lack of memory, or at the time limit. The message says which."""


class ControlFailed(TryAgain):
    """The trial failed, and so did that of the package that serves: the cause lies outside the package."""


async def run_trial(
    package: str, blobs: Path, memory_bytes: int | None, recent: Iterable[bytes], seconds: float, control: str | None = None
) -> TrialOutcome:
    """Try a package. When the caller is cancelled, the child process is killed.

    Pictures may take as much memory as in this process.

    Args:
        package: the digest of the package. Its blobs must be on the disk.
        blobs: the folder `blobs`.
        memory_bytes: the memory that the child may use; None for no limit.
        recent: inputs that this device has answered recently.
        seconds: the time limit of the whole trial.
        control: the package that serves, to compare with; None where none does.

    Raises:
        TrialCrashed: the child ended without an outcome.
        ControlFailed: the package failed in a way that may have an outside cause, and the control failed too.
    """
    inputs = list(recent)
    try:
        outcome = await _run_child(package, blobs, memory_bytes, inputs, seconds)
    except TrialCrashed as error:
        if control is not None:
            await _try_control(control, str(error), blobs, memory_bytes, inputs, seconds)
        raise
    unanswered = outcome.rejected | outcome.failed
    if control is None or not (outcome.short_of_memory or unanswered):
        return _judge(outcome, len(inputs))
    theirs = await _try_control(control, outcome.reason, blobs, memory_bytes, inputs, seconds)
    unfair = theirs.rejected | theirs.failed
    rejected = {position: why for position, why in outcome.rejected.items() if position not in unfair}
    failed = {position: why for position, why in outcome.failed.items() if position not in unfair}
    return _judge(outcome.model_copy(update={"rejected": rejected, "failed": failed}), len(inputs) - len(unfair))


async def _try_control(
    control: str, reason: str, blobs: Path, memory_bytes: int | None, inputs: list[bytes], seconds: float
) -> TrialOutcome:
    """Try the package that serves in the same way.

    Raises:
        ControlFailed: it failed as well.
    """
    try:
        outcome = await _run_child(control, blobs, memory_bytes, inputs, seconds)
    except TrialCrashed as error:
        reason, outcome = f"{reason}; {error}", None
    if outcome is None or not outcome.passed:
        raise ControlFailed(f"the trial cannot be judged, because that of the package that serves fails too: {reason}")
    return outcome


def _judge(outcome: TrialOutcome, inputs: int) -> TrialOutcome:
    """What the recent inputs say about a package that passed its golden cases."""
    if not outcome.passed:
        return outcome
    if outcome.failed:
        why = next(iter(outcome.failed.values()))
        return outcome.model_copy(update={"passed": False, "reason": f"a recent input that the previous version answered fails: {why}"})
    if len(outcome.rejected) > MAX_REJECTED_SHARE * inputs:
        count, why = len(outcome.rejected), next(iter(outcome.rejected.values()))
        reason = f"the package rejects {count} of the last {inputs} pictures that the previous version answered: {why}"
        return outcome.model_copy(update={"passed": False, "reason": reason})
    return outcome


async def _run_child(package: str, blobs: Path, memory_bytes: int | None, inputs: list[bytes], seconds: float) -> TrialOutcome:
    """One trial in a child process.

    Raises:
        TrialCrashed: it ended without an outcome.
    """
    request = TrialRequest(
        package=package,
        blobs=str(blobs),
        memory_bytes=memory_bytes,
        picture_bytes=MEMORY.limit,
        recent=tuple(len(each) for each in inputs),
        recent_seconds=seconds / RECENT_PART,
        parent=os.getpid(),
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
