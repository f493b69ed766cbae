"""The child process of a trial: `python -m bramble_workloads.edge.trial.child`. What goes wrong here does not touch what is served.

Standard input: one line of JSON (`Order`), then the recent inputs, one behind the other. Standard output: one line of JSON (`Outcome`).
A package that fails is an outcome and exit code 0; any other end of the process is a death.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from bramble.contracts.base import Digest, Document

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that this process gets when its parent ends."""

TURNED_DOWN = 0.1
"""Share of the field's own pictures that a candidate may refuse to take: what it takes is its package's choice, not the picture's fault."""


class Order(Document):
    """What to try."""

    package: Digest
    blobs: str
    """The folder of blobs."""
    memory_bytes: int | None
    recent: tuple[int, ...]
    """Sizes of the recent inputs that follow."""
    parent: int


class Outcome(Document):
    """What came of it. `damaged`: a blob was absent or damaged, which says nothing about the package."""

    passed: bool
    reason: str = ""
    damaged: bool = False
    peak_bytes: int | None = None
    recent: int = 0
    """Recent inputs answered."""
    median_ms: float | None = None
    """Of a whole prediction of a recent input, at low priority."""


def main() -> int:
    """Try one package and say what came of it."""
    order = Order.model_validate_json(sys.stdin.buffer.readline())
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != order.parent:  # it ended before the call above
        return 1
    recent = [sys.stdin.buffer.read(size) for size in order.recent]
    outcome = attempt(order, recent)
    sys.stdout.buffer.write(outcome.model_dump_json(by_alias=True).encode() + b"\n")
    sys.stdout.buffer.flush()
    return 0


def attempt(order: Order, recent: list[bytes]) -> Outcome:
    """Load the package within the memory limit, run its golden cases, then the recent inputs."""
    from bramble_workloads.device import memory
    from bramble_workloads.device.blobs import Blobs
    from bramble_workloads.device.errors import WrongBlob
    from bramble_workloads.device.loading import load
    from bramble_workloads.processing.errors import DescriptionError, InputError, ModelFault
    from bramble_workloads.processing.package import read_package

    memory.prefer_as_victim()
    memory.be_modest()
    blobs = Blobs(Path(order.blobs))
    seconds: list[float] = []
    turned_down: list[str] = []
    try:
        threads = read_package(blobs.read, order.package).serving.threads
        if order.memory_bytes is not None:
            memory.limit_growth(order.memory_bytes, threads)
        model = load(blobs, order.package).model
        for picture in recent:
            began = time.perf_counter()
            try:
                model.predict(picture)
            except InputError as error:
                turned_down.append(str(error))
                continue
            seconds.append(time.perf_counter() - began)
    except WrongBlob as error:
        return Outcome(passed=False, reason=str(error), damaged=True)
    except MemoryError:
        return Outcome(passed=False, reason=f"needs more than the {order.memory_bytes} bytes of memory that are left for it")
    except (DescriptionError, ModelFault) as error:
        starved = "bad_alloc" in str(error) or "bad allocation" in str(error)
        reason = f"needs more than the {order.memory_bytes} bytes of memory that are left for it" if starved else str(error)
        return Outcome(passed=False, reason=reason)
    if len(turned_down) > TURNED_DOWN * len(recent):
        said = f"turns down {len(turned_down)} of the {len(recent)} last pictures that the version before answered: {turned_down[0]}"
        return Outcome(passed=False, reason=said)
    peak = memory.status_bytes("VmHWM")
    if order.memory_bytes is not None and peak is not None and peak > order.memory_bytes:
        return Outcome(passed=False, reason=f"needs {peak} bytes of memory and {order.memory_bytes} are left for it", peak_bytes=peak)
    median = sorted(seconds)[len(seconds) // 2] * 1000 if seconds else None
    return Outcome(passed=True, peak_bytes=peak, recent=len(seconds), median_ms=median)


if __name__ == "__main__":
    sys.exit(main())
