"""What this machine must have before a cluster can start, each with the command that mends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.cluster.commands import search_path
from tools.cluster.errors import MissingRequirement
from tools.cluster.runtimes import runtime_named
from tools.cluster.shape import Shape

COMMANDS = {  # command: Debian package
    "bwrap": "bubblewrap",
    "ip": "iproute2",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_PER_NODE = 7
"""Six of a kubelet, one of kube-proxy."""
INOTIFY_CONTROL_PLANE = 13
"""Certificates that API server, controllers and scheduler watch on disk."""


def check(shape: Shape) -> None:
    """Raise MissingRequirement, naming all that is missing at once."""
    problems = [*_platform(), *_commands(), *_kernel(), *_inotify(shape), *runtime_named(shape.runtime).problems()]
    if not problems:
        problems = _namespaces()
    if problems:
        raise MissingRequirement("the local cluster cannot start here:\n" + "\n".join(f"  - {problem}" for problem in problems))


def _platform() -> list[str]:
    if sys.platform != "linux":
        return ["it needs Linux (namespaces, nftables): use a Linux machine, or an existing cluster with BRAMBLE_KUBE_CONTEXT"]
    if os.geteuid() != 0:
        return ["it needs root, for network namespaces and mounts: run the same command with `sudo -E`"]
    return []


def _commands() -> list[str]:
    missing = sorted({package for command, package in COMMANDS.items() if shutil.which(command, path=search_path()) is None})
    if not missing:
        return []
    return [f"missing packages {', '.join(missing)}: apt-get install --yes --no-install-recommends {' '.join(missing)}"]


def _kernel() -> list[str]:
    known = Path("/proc/filesystems").read_text().split()
    if "overlay" in known or Path("/sys/module/overlay").exists():
        return []
    return ["the kernel has no overlay file system loaded: modprobe overlay"]


def _inotify(shape: Shape) -> list[str]:
    """Inotify instances are counted per user; where they run out, kubelets die one after the other with `too many open files`."""
    limit = int(INOTIFY_LIMIT.read_text())
    used = _inotify_in_use()
    needed = INOTIFY_CONTROL_PLANE + INOTIFY_PER_NODE * len(shape.nodes)
    if used + needed <= limit:
        return []
    enough = 128
    while enough < used + needed:
        enough *= 2
    lack = (
        f"{len(shape.nodes)} nodes need {needed} inotify instances, and {used} of this user's {limit} are taken:"
        f" sysctl -w fs.inotify.max_user_instances={enough}"
    )
    return [lack]


def _inotify_in_use() -> int:
    """Instances held by this user's processes, counted from their open files."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid != os.geteuid():
                continue
            count += sum(str(descriptor.readlink()) == "anon_inode:inotify" for descriptor in (process / "fd").iterdir())
        except OSError:  # the process or the descriptor is gone, or is not ours to see
            continue
    return count


def _namespaces() -> list[str]:
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": search_path()})
    if tried.returncode == 0:
        return []
    lack = (
        f"namespaces cannot be made here ({tried.stderr.strip()}): inside a container, start it with --privileged"
        " (docker run --privileged, or securityContext.privileged: true)"
    )
    return [lack]
