"""Linux namespaces from Python: what `os` offers from 3.12 on only, and a way back.

setns(2), unshare(2). A network namespace belongs to a thread; so does the PID namespace that its next children are made in. Both
functions here that enter one leave it before they return, with no await between, so that no other thread or task sees it.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
CLONE_NEWPID = 0x20000000

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare_network() -> None:
    """Give this thread a network namespace of its own; sockets opened before stay where they are."""
    _checked(_libc.unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)")


def network_of(process: int | str = "self") -> int:
    """A descriptor of a process's network namespace; it keeps the namespace alive."""
    return os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def is_first_of_namespace(process: Path) -> bool:
    """Whether a process, given by its folder in /proc, is process 1 of a PID namespace below the host's. OSError where it has ended."""
    numbers = next((line.split()[1:] for line in (process / "status").read_text().splitlines() if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"


@contextmanager
def inside(namespace: int, kind: int, home: int) -> Iterator[None]:
    """Run the block with this thread in `namespace`, then return to `home`; both are descriptors of that kind of namespace."""
    _checked(_libc.setns(namespace, kind), "setns")
    try:
        yield
    finally:
        _checked(_libc.setns(home, kind), "setns back")


@contextmanager
def new_processes(home: int) -> Iterator[None]:
    """The first process started in the block is process 1 of a new PID namespace; `home` is a descriptor of this process's own."""
    _checked(_libc.unshare(CLONE_NEWPID), "unshare(CLONE_NEWPID)")
    try:
        yield
    finally:
        _checked(_libc.setns(home, CLONE_NEWPID), "setns back")


def socket_in(network: int, home: int) -> socket.socket:
    """A TCP socket that lives in another network namespace, whoever uses it from wherever."""
    with inside(network, CLONE_NEWNET, home):
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


class Namespaces:
    """Descriptors of one process's namespaces."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.network = network_of(process)
        self.processes = os.open(f"/proc/{process}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self.network)
        os.close(self.processes)
