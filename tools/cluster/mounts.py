"""What the processes of a cluster see of the file system, so that the host keeps none of it.

The whole cluster has a mount namespace, each node one more. Writes of components to places that cannot be configured end in the
cluster's own folder or in memory:
- /var/lib is an overlay whose upper side is in memory (/var/lib/kubelet/device-plugins is hard-coded in the kubelet);
- /var/log is in memory (so is /var/log/containers);
- the kernel settings that a kubelet writes show it the value that it wants, from a file bound over each.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from shlex import quote

KUBELET_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What pkg/kubelet/cm sets up at start (setupKernelTunables), by path below /proc/sys."""


WAITING = "sleep"
"""Name of a node's first process once its mounts are there."""


def node_script(folder: Path, more: Iterable[str] = ()) -> str:
    """Shell commands, run as the first process of a node, that prepare its mounts and then only wait, as `sleep`.

    `more` are the commands of the container runtime.

    The last process ignores SIGCHLD, which makes the kernel collect the children that it inherits: a node needs no init program.
    """
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    lines = [
        "set -e",
        f"mount -t tmpfs -o mode=0755 tmpfs {quote(str(scratch))}",
        f"mkdir {quote(str(scratch / 'upper'))} {quote(str(scratch / 'work'))}",
        f"mount -t overlay -o {quote(f'lowerdir=/var/lib,upperdir={scratch}/upper,workdir={scratch}/work')} overlay /var/lib",
        "mount -t tmpfs -o mode=0755 tmpfs /var/log",
    ]
    for name, value in KUBELET_SETTINGS.items():
        shown = folder / "kernel" / name.replace("/", ".")
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(value + "\n")
        lines.append(f"if [ -e /proc/sys/{name} ]; then mount --bind {quote(str(shown))} /proc/sys/{name}; fi")
    lines += more
    lines += [f"hostname {quote(folder.name)}", "trap '' CHLD", f"exec {WAITING} infinity"]
    return "\n".join(lines)
