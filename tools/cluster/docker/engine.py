"""The Docker engine that builds: the machine's own where one answers, else one of ours that lives as long as the build.

Our own engine leaves the network and the firewall of the machine alone (`--iptables=false --bridge=none`): builds use the host's
network, containers that are tried use none. Its layers stay in the cache of the user, so that a second build only makes what changed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.commands import UNSHARE, run, search_path
from tools.cluster.environments import cache_folder
from tools.cluster.errors import CommandFailed, ComponentFailed, MissingRequirement
from tools.cluster.process import tail
from tools.cluster.progress import Progress
from tools.cluster.waiting import wait

START_SECONDS = 60.0
STOP_SECONDS = 30.0
PACKAGES = {"dockerd": "docker.io", "docker": "docker.io", "debootstrap": "debootstrap"}
"""What a build without an engine of the machine needs: command to Debian package."""
CLASSIC_BUILDER = {"DOCKER_BUILDKIT": "0"}
"""The engine that Debian 12 packages has no buildx beside it."""


@dataclass(frozen=True)
class Engine:
    """An engine that answers; `host` is its socket, None for the one that the environment names."""

    host: str | None = None

    def command(self, *arguments: str) -> list[str]:
        """The command line of the Docker client for this engine."""
        return ["docker", *(("--host", self.host) if self.host else ()), *arguments]

    def run(self, *arguments: str, timeout: float | None = None) -> str:
        """What the client prints. Raises CommandFailed with its last lines when it fails."""
        return run(*self.command(*arguments), environment=CLASSIC_BUILDER, timeout=timeout).strip()

    def answers(self) -> bool:
        """Whether an engine can be reached."""
        if shutil.which("docker", path=search_path()) is None:
            return False
        try:
            self.run("info")
        except CommandFailed:
            return False
        return True


@contextmanager
def engine(progress: Progress) -> Iterator[Engine]:
    """The machine's engine, or one that ends with the block.

    Raises MissingRequirement: there is none, and none can be started. ComponentFailed: it did not start; the message holds its log.
    """
    own = Engine()
    if own.answers():
        yield own
        return
    _install(progress)
    progress("starting a Docker engine for this build (no engine of the machine answers)")
    with tempfile.TemporaryDirectory(prefix="bramble-engine-") as folder, _started(Path(folder)) as started:
        yield started


def _install(progress: Progress) -> None:
    missing = sorted({package for command, package in PACKAGES.items() if shutil.which(command, path=search_path()) is None})
    if not missing:
        return
    line = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        lack = f"no Docker engine answers, and {', '.join(missing)} cannot be installed here"
        raise MissingRequirement(f"{lack}: start Docker, or run `{' '.join(line)}` as root")
    progress(f"installing {', '.join(missing)}: no Docker engine answers on this machine")
    with suppress(CommandFailed):  # the lists at hand may do
        run("apt-get", "update", "--quiet=2")
    run(*line, environment={"DEBIAN_FRONTEND": "noninteractive"})


@contextmanager
def _started(folder: Path) -> Iterator[Engine]:
    """An engine of our own. Only its layers outlive it."""
    if os.geteuid() != 0:
        raise MissingRequirement("no Docker engine answers, and only root can start one: start Docker, or run this as root")
    started = Engine(f"unix://{folder / 'docker.sock'}")
    log = folder / "dockerd.log"
    command = [
        *UNSHARE,  # its mounts end with it, however it ends
        "dockerd",
        *("--data-root", str(cache_folder() / "docker")),
        *("--exec-root", str(folder / "exec")),
        *("--pidfile", str(folder / "pid")),
        *("--host", str(started.host)),
        "--iptables=false",
        "--bridge=none",
    ]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "PATH": search_path()}, start_new_session=True)
    try:
        wait(lambda: started.answers() or process.poll() is not None, START_SECONDS, lambda: tail(log))
        if process.poll() is not None:
            raise ComponentFailed(f"the Docker engine ended with {process.returncode}:\n{tail(log)}")
        yield started
    finally:
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)
        try:
            wait(lambda: process.poll() is not None, STOP_SECONDS, f"the Docker engine does not end: {log}")
        finally:
            process.kill()
            process.wait()
