"""The child process of a trial: `python -m bramble_workloads.edge.trial.child`. A crash of it does not affect the agent.

It reads one line of JSON (`TrialRequest`) and then the recent inputs from standard input, and writes one line of JSON (`TrialOutcome`) to
standard output. It ends with exit code 0 also when the package fails. Any other end counts as a crash. What the recent inputs say about the
package is judged in `run_trial`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from pydantic import Field

from bramble.contracts.base import Digest, Document

PR_SET_PDEATHSIG = 1
"""The option of prctl(2) that sets which signal this process gets when its parent ends."""


class TrialRequest(Document):
    """The package to try, and its limits."""

    package: Digest
    blobs: str
    """The folder `blobs`."""
    memory_bytes: int | None
    """The memory that the process may use; None for no limit."""
    picture_bytes: int | None
    """The memory that the agent may use for decoding pictures; None for no limit."""
    recent: tuple[int, ...]
    """The sizes in bytes of the recent inputs that follow the JSON."""
    recent_seconds: float
    """After this time no further recent input is begun, so that slow inputs do not take the time of the trial."""
    parent: int
    """The process id of the agent."""


class TrialOutcome(Document):
    """The result of a trial."""

    passed: bool
    reason: str = ""
    """Why the package failed."""
    damaged: bool = False
    """True if a blob was absent or damaged. Then the trial was not completed, and the package did not fail."""
    short_of_memory: bool = False
    """True if the package failed for want of memory."""
    rejected: dict[int, str] = Field(default_factory=dict)
    """Recent inputs that the package does not take, by their position, and why."""
    failed: dict[int, str] = Field(default_factory=dict)
    """Recent inputs on which the graph failed, or for which there was too little memory, and why."""
    peak_bytes: int | None = None
    """The highest resident memory of the process."""
    tried: int = 0
    """How many recent inputs were begun, the first ones."""
    recent: int = 0
    """How many recent inputs were answered."""
    median_ms: float | None = None
    """The median time of a prediction of a recent input, at low priority."""


def main() -> int:
    """Try the package that standard input names and write the outcome to standard output."""
    request = TrialRequest.model_validate_json(sys.stdin.buffer.readline())
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != request.parent:  # the agent ended before prctl took effect, so no signal will come
        return 1
    recent = [sys.stdin.buffer.read(size) for size in request.recent]
    outcome = try_package(request, recent)
    sys.stdout.buffer.write(outcome.model_dump_json(by_alias=True).encode() + b"\n")
    sys.stdout.buffer.flush()
    return 0


def try_package(request: TrialRequest, recent: list[bytes]) -> TrialOutcome:
    """Load the package within the memory limit, run its golden cases, and then the recent inputs."""
    from bramble_workloads.device import memory
    from bramble_workloads.device.blobs import Blobs
    from bramble_workloads.device.errors import WrongBlob
    from bramble_workloads.device.loading import load
    from bramble_workloads.processing.decoding_memory import MEMORY
    from bramble_workloads.processing.errors import DescriptionError, InputError, ModelFault
    from bramble_workloads.processing.model import threads_of
    from bramble_workloads.processing.package import read_package

    MEMORY.limit = request.picture_bytes
    memory.prefer_for_oom_kill()
    memory.lower_priority()
    blobs = Blobs(Path(request.blobs))
    seconds: list[float] = []
    tried = 0
    rejected: dict[int, str] = {}
    failed: dict[int, str] = {}
    too_large = f"the package needs more than the {request.memory_bytes} bytes of memory that are available"
    try:
        threads = threads_of(read_package(blobs.read, request.package))
        if request.memory_bytes is not None:
            memory.limit_memory(request.memory_bytes, threads)
        model = load(blobs, request.package).model
        until = time.perf_counter() + request.recent_seconds
        for position, picture in enumerate(recent):
            began = time.perf_counter()
            if began > until:
                break
            tried = position + 1
            try:
                model.predict(picture)
            except InputError as error:
                rejected[position] = str(error)
            except ModelFault as error:
                failed[position] = str(error)
            except MemoryError:
                failed[position] = too_large
            else:
                seconds.append(time.perf_counter() - began)
    except WrongBlob as error:
        return TrialOutcome(passed=False, reason=str(error), damaged=True)
    except MemoryError:
        return TrialOutcome(passed=False, reason=too_large, short_of_memory=True)
    except (DescriptionError, ModelFault) as error:
        out_of_memory = "bad_alloc" in str(error) or "bad allocation" in str(error)  # as ONNX Runtime reports it
        return TrialOutcome(passed=False, reason=too_large if out_of_memory else str(error), short_of_memory=out_of_memory)
    peak = memory.status_bytes("VmHWM")
    if request.memory_bytes is not None and peak is not None and peak > request.memory_bytes:
        reason = f"the package needs {peak} bytes of memory, and {request.memory_bytes} are available"
        return TrialOutcome(passed=False, reason=reason, short_of_memory=True, peak_bytes=peak)
    median = sorted(seconds)[len(seconds) // 2] * 1000 if seconds else None
    return TrialOutcome(passed=True, rejected=rejected, failed=failed, peak_bytes=peak, tried=tried, recent=len(seconds), median_ms=median)


if __name__ == "__main__":
    sys.exit(main())
