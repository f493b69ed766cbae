"""Real containers: containerd and runc, as Debian packages them, from images built by the Dockerfiles.

Every node has a containerd of its own. All of them share the layers of one template, which is filled once for each set of images
(`template.py`), so that a node costs a copy of two small databases. Limits of memory and CPU have effect, and a container that passes its
memory limit is OOM-killed. Needs root.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote

from tools.cluster import images
from tools.cluster.addresses import NodeAddress
from tools.cluster.commands import search_path
from tools.cluster.images import Image
from tools.cluster.process import Command
from tools.cluster.progress import Progress
from tools.cluster.runtimes import template
from tools.cluster.runtimes.base import cri_socket
from tools.cluster.state import State

PACKAGES = {"containerd": "containerd", "ctr": "containerd", "runc": "runc"}
PLUGINS = Path("/usr/lib/cni")
PLUGIN_NAMES = ("host-local", "loopback", "ptp")
CGROUPS = Path("/sys/fs/cgroup")
CGROUP = "k8s.io"
"""Where containerd puts containers whose pods have no control group of their own (`cgroupsPerQOS: false`)."""
DEVICE_FOLDER = "/var/lib/bramble"


class Containerd:
    """containerd with its CRI plugin, and CNI's `ptp`: every pod has a routed link, so that Services answer between pods of one node."""

    name = "containerd"

    def problems(self) -> list[str]:
        missing = {package for command, package in PACKAGES.items() if shutil.which(command, path=search_path()) is None}
        if not all((PLUGINS / name).exists() for name in PLUGIN_NAMES):
            missing.add("containernetworking-plugins")
        found = []
        if missing:
            found.append(
                f"missing packages {', '.join(sorted(missing))}: apt-get install --yes --no-install-recommends {' '.join(sorted(missing))}"
            )
        if os.geteuid() != 0:
            found.append("containerd makes real containers, which needs root: run the same command with `sudo -E`")
        return found

    def images(self, names: tuple[str, ...] | None, progress: Progress) -> list[Image]:
        return template.fill(names, progress).images

    def prepare(self, state: State, node: str, place: NodeAddress) -> None:
        folder = state.node(node)
        template.holding(images.read_table(state)).copy_to(folder / "containerd")
        (folder / "cni").mkdir()
        state.write_json(folder / "cni" / "10-pods.conflist", network(place))
        (folder / "containerd.toml").write_text(configuration(state, node))

    def mounts(self, state: State, node: str) -> list[str]:
        """Memory over /run, where containerd, its shims and CNI keep sockets; the device's folder, which outlives the node's power."""
        device = state.node(node) / "host-paths" / DEVICE_FOLDER.strip("/").replace("/", "-")
        return [
            "mount -t tmpfs -o mode=0755 tmpfs /run",
            f"mkdir -p {DEVICE_FOLDER} && mount --bind {quote(str(device))} {DEVICE_FOLDER}",
        ]

    def command(self, state: State, binaries: Mapping[str, str], node: str, place: NodeAddress) -> Command:  # noqa: ARG002
        return Command(f"{node}/cri", ("containerd", "--config", str(state.node(node) / "containerd.toml")))

    def clear(self, state: State) -> None:  # noqa: ARG002
        """Remove control groups of containers that have ended: they are empty, but the kernel keeps them."""
        for root in CGROUPS.glob(f"*/{CGROUP}"):
            for folder in (*root.iterdir(), root):
                with suppress(OSError):  # a file, or a group that another cluster of this machine uses
                    folder.rmdir()


def network(place: NodeAddress) -> dict[str, object]:
    """The CNI configuration of one node."""
    addresses = {"type": "host-local", "ranges": [[{"subnet": place.pod_cidr}]], "routes": [{"dst": "0.0.0.0/0"}]}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": addresses}]}


def configuration(state: State, node: str) -> str:
    """The configuration of one node's containerd. Running state is in /run, so that it ends with the node's power."""
    folder = state.node(node)
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return "\n".join(
        [
            "version = 2",
            f"root = {json.dumps(str(folder / 'containerd'))}",
            'state = "/run/containerd"',
            "[grpc]",
            f"address = {json.dumps(str(cri_socket(state, node)))}",
            f"[{cri}]",
            f"sandbox_image = {json.dumps(template.PAUSE)}",
            "disable_apparmor = true",
            "restrict_oom_score_adj = true",
            f"[{cri}.cni]",
            f"bin_dir = {json.dumps(str(PLUGINS))}",
            f"conf_dir = {json.dumps(str(folder / 'cni'))}",
            f"[{cri}.containerd]",
            f"snapshotter = {json.dumps(template.SNAPSHOTTER)}",
            f"[{cri}.containerd.runtimes.runc]",
            'runtime_type = "io.containerd.runc.v2"',
            "",
        ]
    )
