"""Reads and limits the memory of a process.

The limit is RLIMIT_DATA. RLIMIT_AS limits the address space, and each thread of ONNX Runtime reserves address space for a stack and an
allocator arena that it hardly uses: measured with a 40 MB graph, 304 MB of address space with 2 threads and 1,313 MB with 16, for 132 MB of
resident memory both times. RLIMIT_DATA limits private writable memory, which was 154 and 268 MB. Most of that difference is the stacks of
the threads, so `limit_memory` adds their size to the limit.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

DEFAULT_STACK = 8 * 2**20
NICENESS = 5
"""Requests that are being served get the processor first. A higher value could keep a trial on a busy board from ever ending."""
DECODING_PART = 4
"""One of so many parts of the memory is for decoding pictures. The rest is for models."""
ARENA_SLACK = 16 * 2**20
"""Bytes of writable memory that the allocator holds in reserve."""


def status_bytes(field: str, pid: int | str = "self") -> int | None:
    """Read a field of /proc/<pid>/status in bytes; None if the process or the field does not exist.

    `VmRSS` is the resident memory, `VmHWM` the highest resident memory so far, `VmData` the private writable memory (proc_pid_status(5)).
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith(f"{field}:")), None)
    return int(found[1]) * 1024 if found else None


def anonymous_bytes() -> int | None:
    """Bytes of this process that no file backs, in RAM and in swap; None where the kernel does not tell.

    This is what leaks. Resident memory as a whole goes down when the kernel moves pages to swap (zram on a Raspberry Pi), and up and down
    with the pages of files that are mapped, such as libraries.
    """
    resident, swapped = status_bytes("RssAnon"), status_bytes("VmSwap")
    return None if resident is None else resident + (swapped or 0)


def available_bytes() -> int | None:
    """Bytes that new processes can use without swapping (MemAvailable of /proc/meminfo)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = next((line.split() for line in lines if line.startswith("MemAvailable:")), None)
    return int(found[1]) * 1024 if found else None


def trial_limit(budget: int | None) -> int | None:
    """Bytes that the process of a trial may use; None where that is unknown.

    It is the budget without the resident memory of this process, and at most what the board has available.
    """
    available = available_bytes()
    if budget is None:
        return available
    rest = max(0, budget - (status_bytes("VmRSS") or 0))
    return rest if available is None else min(rest, available)


def decoding_limit(budget: int | None) -> int | None:
    """Bytes that the agent may use for decoding pictures: a quarter of its budget, or of what the board has available."""
    total = available_bytes() if budget is None else budget
    return None if total is None else total // DECODING_PART


def limit_memory(total: int, threads: int) -> None:
    """Limit the resident memory of this process to about `total` bytes. Allocations beyond it fail with MemoryError.

    Args:
        total: bytes of resident memory, including those that the process uses now.
        threads: the number of threads that the process will start. RLIMIT_DATA counts the whole stack of each, used or not.
    """
    used, writable = status_bytes("VmRSS"), status_bytes("VmData")
    if used is None or writable is None:
        return
    soft_stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
    stack = DEFAULT_STACK if soft_stack == resource.RLIM_INFINITY else soft_stack
    limit = writable + max(0, total - used) + threads * stack + ARENA_SLACK
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def prefer_for_oom_kill() -> None:
    """Make the kernel's OOM killer choose this process before any other, so that the agent goes on serving."""
    Path("/proc/self/oom_score_adj").write_text("1000")  # a process may raise its own score without any permission


def lower_priority() -> None:
    """Lower the scheduling priority of this thread, and of those that it starts, so that it does not slow down requests.

    On Linux each thread has its own: https://man7.org/linux/man-pages/man2/nice.2.html.
    """
    os.nice(NICENESS)
