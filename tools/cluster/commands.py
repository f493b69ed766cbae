"""How programs of the system are found and started."""

from __future__ import annotations

import os

UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Gives a command mounts and processes of its own; SIGKILL of `unshare` ends them all."""


def search_path() -> str:
    """PATH with the folders of system commands, which users' shells often leave out."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
