"""Starting and ending a cluster's supervisor from the host."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tools.cluster.commands import UNSHARE, search_path
from tools.cluster.errors import ClusterError, ComponentFailed
from tools.cluster.namespaces import is_first_of_namespace
from tools.cluster.process import tail
from tools.cluster.progress import Progress
from tools.cluster.runtimes import runtime_named
from tools.cluster.shape import Shape
from tools.cluster.state import State, all_states
from tools.cluster.waiting import wait

REPOSITORY = Path(__file__).resolve().parents[2]
END_SECONDS = 15.0
END_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")


class Launcher:
    """Starts one supervisor and follows it until it is ready.

    Attached, it ends with this process however that ends: the kernel signals it (PR_SET_PDEATHSIG), and its standard input ends. The
    signal comes with the end of the *thread* that started it, so that is one of its own, which lives as long as the cluster.
    """

    def __init__(self, state: State, lock: int, *, attached: bool) -> None:
        self._state = state
        self._lock = lock
        self._attached = attached
        self._started = threading.Event()
        self._popen: subprocess.Popen[str] | None = None
        self._error: OSError | None = None

    def launch(self, progress: Progress) -> None:
        """Start, report progress, return when the cluster is ready. ComponentFailed if it does not get there."""
        threading.Thread(target=self._own, name=f"cluster-{self._state.name}", daemon=True).start()
        self._started.wait()
        os.close(self._lock)
        if self._popen is None:
            raise ClusterError(f"cannot start the supervisor: {self._error}")
        try:
            self._follow(self._popen, progress)
        except BaseException:
            end(self._state)
            raise

    def _own(self) -> None:
        prefix = END_WITH_PARENT if self._attached else ()
        command = [*prefix, *UNSHARE, sys.executable, "-m", "tools.cluster.supervisor", str(self._state.folder)]
        environment = {**os.environ, "PATH": search_path(), "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            with self._state.log("supervisor").open("a") as log:
                self._popen = subprocess.Popen(
                    command,
                    cwd=REPOSITORY,
                    env=environment,
                    stdin=subprocess.PIPE if self._attached else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                    pass_fds=(self._lock,),
                )
        except OSError as error:
            self._error = error
            self._started.set()
            return
        self._started.set()
        self._popen.wait()
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    def _follow(self, popen: subprocess.Popen[str], progress: Progress) -> None:
        if popen.stdout is None:
            raise ClusterError("the supervisor has no output to follow")
        with popen.stdout:
            for line in popen.stdout:
                said = json.loads(line)
                if "failed" in said:
                    raise ComponentFailed(said["failed"])
                if "ready" in said:
                    return
                progress(f"{said['seconds']:5.1f} s  {said['progress']}")
        raise ComponentFailed(f"the supervisor ended before the cluster was ready:\n{tail(self._state.log('supervisor'))}")


def supervisor_pid(state: State) -> int | None:
    """The supervisor's process id as the host counts, found by its lock: the process 1 of a namespace that holds the file open."""
    try:
        wanted = state.alive.stat()
    except FileNotFoundError:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # processes end while they are looked at
            if is_first_of_namespace(process) and _has_open(process, wanted):
                return int(process.name)
    return None


def _has_open(process: Path, wanted: os.stat_result) -> bool:
    return any(os.path.samestat(descriptor.stat(), wanted) for descriptor in (process / "fd").iterdir() if descriptor.exists())


def end(state: State) -> bool:
    """End a cluster and remove its folder, whatever state it is in; False where there was none."""
    if not state.folder.exists():
        return False
    pid = supervisor_pid(state)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
            _kill(pid)
    wait(lambda: not state.is_alive(), END_SECONDS, f"something still holds {state.alive}: fuser -v {state.alive}")
    _clear(state)
    # somebody's `sweep` may have come first
    wait(lambda: state.remove_if_dead() or not state.folder.exists(), END_SECONDS, f"{state.folder} cannot be removed")
    return True


def _kill(pid: int) -> None:
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], END_SECONDS)
    finally:
        os.close(handle)


def _clear(state: State) -> None:
    """Let the runtime of a dead cluster remove what the kernel keeps."""
    with contextlib.suppress(FileNotFoundError):  # it ended before it was described
        shape = Shape.from_json(json.loads(state.description.read_text())["shape"])
        runtime_named(shape.runtime).clear(state)


def sweep(progress: Progress) -> None:
    """Remove folders of clusters that died without anybody's clearing up."""
    for state in all_states():
        if not state.is_alive():
            _clear(state)
        if state.remove_if_dead():
            progress(f"removed what was left of cluster {state.name!r}")


def describe_all() -> list[dict[str, Any]]:
    """Each cluster of this user: name, whether it lives, its age in seconds, its folder."""
    return [
        {
            "name": state.name,
            "alive": state.is_alive(),
            "age": _age(state),
            "folder": str(state.folder),
        }
        for state in all_states()
    ]


def _age(state: State) -> int | None:
    try:
        return round(time.time() - state.alive.stat().st_mtime)
    except FileNotFoundError:
        return None
