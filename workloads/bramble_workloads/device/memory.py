"""How much memory a process uses and may use.

RLIMIT_AS cannot limit ONNX Runtime: it counts address space, of which every thread reserves a stack and an allocator arena (measured with a
40 MB graph: 304 MB of address space at 2 threads and 1,313 MB at 16, for 132 MB of memory each time). RLIMIT_DATA counts private writable
memory (154 and 268 MB for the same), and so does what matters once the stacks are added to the limit.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

DEFAULT_STACK = 8 * 2**20
NICENESS = 5
"""Enough for requests to go first, and not so much that a busy board never ends a trial."""
ARENA_SLACK = 16 * 2**20
"""Writable memory that the allocator holds in reserve."""


def status_bytes(field: str, pid: int | str = "self") -> int | None:
    """A field of /proc/<pid>/status in bytes: `VmRSS` now, `VmHWM` at its highest, `VmData` private and writable."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith(f"{field}:")), None)
    return int(found[1]) * 1024 if found else None


def available_bytes() -> int | None:
    """What the board could give to new processes without swapping (MemAvailable)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = next((line.split() for line in lines if line.startswith("MemAvailable:")), None)
    return int(found[1]) * 1024 if found else None


def room(budget: int | None) -> int | None:
    """Bytes that a trial's process may use: the rest of the budget beside this process, never more than the board has; None if unknown."""
    available = available_bytes()
    if budget is None:
        return available
    rest = max(0, budget - (status_bytes("VmRSS") or 0))
    return rest if available is None else min(rest, available)


def limit_growth(total: int, threads: int) -> None:
    """Limit this process to about `total` bytes of memory, counted from what it uses now; further allocations fail with MemoryError.

    Args:
        total: resident memory that the process may reach.
        threads: that will be started; each stack counts as a whole against the limit, used or not.
    """
    used, writable = status_bytes("VmRSS"), status_bytes("VmData")
    if used is None or writable is None:
        return
    soft_stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
    stack = DEFAULT_STACK if soft_stack == resource.RLIM_INFINITY else soft_stack
    limit = writable + max(0, total - used) + threads * stack + ARENA_SLACK
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def prefer_as_victim() -> None:
    """Let the kernel end this process first when memory runs out: the agent goes on serving."""
    Path("/proc/self/oom_score_adj").write_text("1000")  # raising one's own is always allowed


def be_modest() -> None:
    """A trial must not slow down what is served."""
    os.nice(NICENESS)
