"""Processes that the supervisor starts, and the children that it inherits.

The supervisor is process 1 of the cluster's PID namespace: whatever loses its parent becomes its child, so it must collect every child,
its own and strangers, which `subprocess` alone cannot do.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.cluster.commands import search_path
from tools.cluster.errors import ComponentFailed
from tools.cluster.namespaces import CLONE_NEWPID, Namespaces, inside, new_processes

LOG_TAIL_BYTES = 3000
RESTART_AFTER_SECONDS = 1.0
MAX_RESTARTS = 5


@dataclass(frozen=True)
class Command:
    """What to run, by name; `<node>/<component>` runs inside that node."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Running:
    """A started process and how it ended."""

    command: Command
    log: Path
    popen: subprocess.Popen[bytes]
    started: float
    ended: asyncio.Event
    node: Namespaces | None = None
    returncode: int | None = None
    wanted: bool = True
    restarts: int = 0

    @property
    def pid(self) -> int:
        return self.popen.pid

    def describe(self) -> str:
        """The name, how it ended, and the end of its log."""
        state = "is running" if self.returncode is None else f"ended with {self.returncode}"
        return f"{self.command.name} {state}; {self.log} ends:\n{tail(self.log)}"


def tail(log: Path, size: int = LOG_TAIL_BYTES) -> str:
    """The last lines of a log, at most `size` bytes."""
    if not log.exists():
        return "(no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - size))
        return file.read().decode(errors="replace").strip()


class Processes:
    """All processes of the supervisor, by name."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._by_pid: dict[int, Running] = {}
        self.by_name: dict[str, Running] = {}
        self.restarted: dict[str, int] = {}

    def watch(self) -> None:
        """Collect children from now on; needs the running event loop."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._collect)

    def start(self, command: Command, node: Namespaces | None = None, restarts: int = 0) -> Running:
        """Start a process, in a node's namespaces where one is given; its output goes to its log."""
        arguments = list(command.arguments)
        if node is None:
            return self._start(command, arguments, None, restarts)
        arguments = ["nsenter", f"--target={node.process}", "--mount", "--net", "--uts", "--ipc", "--", *arguments]
        with inside(node.processes, CLONE_NEWPID, self._home):
            return self._start(command, arguments, node, restarts)

    def start_node(self, name: str, script: str) -> Running:
        """Start the first process of a node, in namespaces of its own; with it, everything in the node ends."""
        command = Command(name, ("unshare", "--mount", "--net", "--uts", "--ipc", "--mount-proc", "sh", "-c", script))
        with new_processes(self._home):
            running = self._start(command, list(command.arguments), None, 0)
        running.wanted = False
        return running

    def _start(self, command: Command, arguments: list[str], node: Namespaces | None, restarts: int) -> Running:
        log = self._logs / f"{command.name.replace('/', '.')}.log"
        environment = {"PATH": search_path(), "HOME": "/nonexistent", "LANG": "C.UTF-8", **command.environment}
        with log.open("ab") as output:
            popen = subprocess.Popen(
                arguments, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        running = Running(command, log, popen, time.monotonic(), asyncio.Event(), node, restarts=restarts)
        self._by_pid[popen.pid] = self.by_name[command.name] = running
        return running

    def _collect(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            running = self._by_pid.pop(pid, None)
            if running is None:
                continue
            running.returncode = running.popen.returncode = os.waitstatus_to_exitcode(status)
            running.ended.set()
            if running.wanted:
                self._come_back(running)

    def _come_back(self, ended: Running) -> None:
        """Start again what ended without being asked to, as an init system does, and count it: tests look at the count."""
        name = ended.command.name
        self.restarted[name] = self.restarted.get(name, 0) + 1
        if ended.restarts >= MAX_RESTARTS or self.by_name.get(name) is not ended:
            return

        def again() -> None:
            if self.by_name.get(name) is ended and ended.wanted:
                self.start(ended.command, ended.node, restarts=ended.restarts + 1)

        asyncio.get_running_loop().call_later(RESTART_AFTER_SECONDS, again)

    async def stop(self, name: str, number: int = signal.SIGTERM, grace: float = 10.0) -> None:
        """End a process and wait until it has ended; SIGKILL after the grace (seconds)."""
        running = self.by_name.get(name)
        if running is None:
            raise ComponentFailed(f"no process {name}; there are {', '.join(sorted(self.by_name))}")
        running.wanted = False
        if running.returncode is not None:
            return
        os.kill(running.pid, number)
        try:
            await asyncio.wait_for(running.ended.wait(), grace)
        except TimeoutError:
            os.kill(running.pid, signal.SIGKILL)
            await running.ended.wait()

    def start_again(self, name: str) -> None:
        """Start what `stop` ended, as it was."""
        running = self.by_name.get(name)
        if running is None or running.returncode is None:
            raise ComponentFailed(f"{name} {'is running' if running else 'was never started'}")
        self.start(running.command, running.node)

    def forget(self, names: list[str]) -> None:
        """Processes that are about to be killed with their node: not to be started again."""
        for name in names:
            self.by_name[name].wanted = False

    def check(self, *names: str) -> None:
        """Raise ComponentFailed if one of these has ended."""
        for name in names:
            running = self.by_name[name]
            if running.returncode is not None:
                raise ComponentFailed(running.describe())
