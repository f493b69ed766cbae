"""How programs of the system are found and started."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.cluster.errors import CommandFailed

UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Gives a command mounts and processes of its own; SIGKILL of `unshare` ends them all."""


def search_path() -> str:
    """PATH with the folders of system commands, which users' shells often leave out."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def run(*command: str | Path, stdin: str | None = None, environment: Mapping[str, str] | None = None, timeout: float | None = None) -> str:
    """What a command prints on its standard output.

    Args:
        environment: further variables.

    Raises:
        CommandFailed: it exited with something else than 0; the message holds the end of what it printed.
        subprocess.TimeoutExpired: it ran for longer than `timeout` seconds.
    """
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, "PATH": search_path(), **(environment or {})},
        timeout=timeout,
    )
    if done.returncode != 0:
        raise CommandFailed(tuple(map(str, command)), done.returncode, done.stdout + done.stderr)
    return done.stdout
