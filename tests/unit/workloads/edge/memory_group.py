"""A control group of the kernel with a limit of memory, as the kubelet gives a container with `limits.memory`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


class NoGroups(Exception):
    """This machine gives no control group with a limit of memory; the message says why."""


class MemoryGroup:
    """A group of processes that may use so many bytes together. Beyond it the kernel ends one of them.

    Both versions of control groups will do: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory and
    https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        first = next((name for name in ("memory.max", "memory.limit_in_bytes") if (folder / name).exists()), None)
        if first is None:
            raise NoGroups(f"{folder} has no limit of memory: the controller `memory` is not enabled there")
        (folder / first).write_text(str(limit))
        for swap, most in (("memory.swap.max", 0), ("memory.memsw.limit_in_bytes", limit)):
            if (folder / swap).exists():
                (folder / swap).write_text(str(most))

    @property
    def kills(self) -> int:
        """How many processes the kernel has ended for want of memory."""
        name = "memory.events" if (self.folder / "memory.events").exists() else "memory.oom_control"
        words = (line.split() for line in (self.folder / name).read_text().splitlines())
        return next(int(count) for name, count in words if name == "oom_kill")


@contextmanager
def memory_group(limit: int) -> Iterator[MemoryGroup]:
    """A group of its own, gone afterwards; no process may be left in it.

    Raises:
        NoGroups: there is none on this machine, or this user may make none.
    """
    parent = CGROUPS / "memory" if (CGROUPS / "memory").is_dir() else CGROUPS
    folder = parent / f"bramble-test-{secrets.token_hex(4)}"
    try:
        folder.mkdir()
    except OSError as error:
        raise NoGroups(f"{parent}: {error.strerror}") from error
    try:
        yield MemoryGroup(folder, limit)
    finally:
        folder.rmdir()
