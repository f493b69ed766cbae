"""The processors and the memory that this process may use, in a container or outside of one."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CGROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = CGROUPS, own: Path = OWN) -> int:
    """The number of processors that this process may use, and at most the CPU limit of its control groups, rounded up.

    A container's limit is a quota of CPU time: with a limit of 2 CPUs on a node of 64, it may still run on all 64.
    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.max`).
    """
    limits = [math.ceil(int(quota) / int(period)) for quota, period in _values("cpu.max", cgroups, own) if quota != "max"]
    return max(1, min([len(os.sched_getaffinity(0)), *limits]))


def usable_memory(cgroups: Path = CGROUPS, own: Path = OWN) -> int:
    """The bytes of memory of this machine, and at most the memory limit of this process's control groups (`memory.max`)."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([whole, *(int(limit) for (limit,) in _values("memory.max", cgroups, own) if limit != "max")])


def _values(name: str, cgroups: Path, own: Path) -> Iterator[list[str]]:
    """The words of a file of this process's control group (cgroup v2), and of each group above it that has the file."""
    try:
        group = next(line[3:] for line in own.read_text().splitlines() if line.startswith("0::/"))
    except (OSError, StopIteration):
        return
    path = PurePosixPath(group)
    for each in (path, *path.parents):
        try:
            yield (cgroups / each.relative_to("/") / name).read_text().split()
        except OSError:
            continue
