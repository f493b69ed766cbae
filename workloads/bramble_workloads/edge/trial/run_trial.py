"""Tries a package in a child process with a memory limit and a time limit: first its golden cases, then recent inputs.

What may have a cause outside the package, such as too little memory or time, or an input on which every package fails, is judged by
comparison: the package that serves is tried in the same way, and where it fails too, the package is not to blame.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from pydantic import ValidationError

from bramble_workloads.edge.serve.recent_inputs import SMALL
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
            await _try_control(control, str(error), blobs, memory_bytes, inputs, seconds, needs_memory=False)
        raise
    alone = _judge(outcome, inputs)
    may_be_unfair = outcome.short_of_memory or (outcome.passed and not alone.passed)
    if control is None or not may_be_unfair:
        return alone
    theirs = await _try_control(control, alone.reason, blobs, memory_bytes, inputs, seconds, needs_memory=outcome.short_of_memory)
    return alone if theirs is None else _judge(outcome, inputs, unfair=theirs.rejected.keys() | theirs.failed.keys())


async def _try_control(
    control: str, reason: str, blobs: Path, memory_bytes: int | None, inputs: list[bytes], seconds: float, *, needs_memory: bool
) -> TrialOutcome | None:
    """Try the package that serves in the same way.

    The agent holds this package already, and its trial holds it once more. So it may have too little memory where the candidate had enough,
    which says nothing about the candidate.

    Args:
        reason: why the candidate failed.
        needs_memory: True if the candidate was short of memory.

    Returns:
        The outcome; None if the control was short of memory and the candidate was not.

    Raises:
        ControlFailed: it failed as well.
    """
    try:
        outcome = await _run_child(control, blobs, memory_bytes, inputs, seconds)
    except TrialCrashed as error:
        why = str(error)
    else:
        if outcome.passed:
            return outcome
        if outcome.short_of_memory and not needs_memory:
            return None
        why = outcome.reason
    raise ControlFailed(f"the trial cannot be judged, because that of the package that serves fails too: {why}; the candidate: {reason}")


def _judge(outcome: TrialOutcome, inputs: list[bytes], unfair: Collection[int] = ()) -> TrialOutcome:
    """What the recent inputs say about a package that passed its golden cases.

    Larger inputs are judged by themselves: there are few of them, and a package that rejects only these must be found.

    Args:
        unfair: the positions of inputs that do not count, because the package that serves fails on them.
    """
    if not outcome.passed:
        return outcome
    failed = {position: why for position, why in outcome.failed.items() if position not in unfair}
    rejected = {position: why for position, why in outcome.rejected.items() if position not in unfair}
    judged = outcome.model_copy(update={"failed": failed, "rejected": rejected})
    if failed:
        why = next(iter(failed.values()))
        return judged.model_copy(update={"passed": False, "reason": f"a recent input that the previous version answered fails: {why}"})
    tried = [position for position in range(outcome.tried) if position not in unfair]
    for larger in (True, False):
        these = [position for position in tried if (len(inputs[position]) > SMALL) == larger]
        missed = [position for position in these if position in rejected]
        if len(missed) > MAX_REJECTED_SHARE * len(these):
            which = f"pictures of more than {SMALL // 1024} KiB" if larger else "pictures"
            answered = f"the last {len(these)} {which} that the previous version answered"
            reason = f"the package rejects {len(missed)} of {answered}: {rejected[missed[0]]}"
            return judged.model_copy(update={"passed": False, "reason": reason})
    return judged


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
