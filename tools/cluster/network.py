"""The cluster's network: one router namespace, one namespace a node, a veth pair between them, everything routed.

    router (control plane, 10.90.0.1)
       ├── node1 ─ eth0  control  10.90.1.1   pods 10.244.1.0/24
       ├── node2 ─ eth0  gpu-1    10.90.1.2   pods 10.244.2.0/24
       …
There is no way out: no link of the host is in it, and no default route leads anywhere from the router.
A partition is a set of links whose packets the router drops in both directions, so that connections hang as they do in the field.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from tools.cluster import addresses
from tools.cluster.addresses import NodeAddress
from tools.cluster.commands import search_path
from tools.cluster.errors import ClusterError
from tools.cluster.namespaces import CLONE_NEWNET, inside

PARTITION_RULES = """
table inet partition {
  set cut { type ifname; }
  chain arriving { type filter hook prerouting priority -350; iifname @cut drop; }
  chain leaving { type filter hook postrouting priority 350; oifname @cut drop; }
}
"""
SETTINGS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
}


def _run(command: list[str], text: str) -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env={"PATH": search_path()})
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(command)} exited {done.returncode}: {done.stderr.strip()}\n{text}")


def _apply_settings() -> None:
    """Network sysctls of the namespace that this thread is in; /proc/sys/net always shows that one."""
    for name, value in SETTINGS.items():
        path = Path("/proc/sys") / name
        if path.exists():  # a kernel without IPv6 has none of its settings
            path.write_text(value)


def set_up_router() -> None:
    """In the router's namespace: its address and the rules that partitions use."""
    _apply_settings()
    _run(["ip", "-batch", "-"], f"link set lo up\naddress add {addresses.CORE}/32 dev lo\n")
    _run(["nft", "-f", "-"], PARTITION_RULES)


def connect_node(place: NodeAddress, process: int, network: int, home: int) -> None:
    """Join a node, given a process in it, to the router, in whose namespace the caller is."""
    _run(
        ["ip", "-batch", "-"],
        f"link add {place.link} type veth peer name eth0 netns {process}\n"
        f"link set {place.link} up\n"
        f"route add {place.address}/32 dev {place.link} src {addresses.CORE}\n"
        f"route add {place.pod_cidr} via {place.address} dev {place.link} onlink src {addresses.CORE}\n",
    )
    with inside(network, CLONE_NEWNET, home):
        _apply_settings()
        _run(
            ["ip", "-batch", "-"],
            f"link set lo up\naddress add {place.address}/32 dev eth0\nlink set eth0 up\n"
            f"route add default via {addresses.CORE} dev eth0 onlink src {place.address}\n",
        )


def disconnect_node(place: NodeAddress) -> None:
    """Remove a dead node's link at once; the kernel does it too, some time after the namespace's last process, and may come first."""
    if _is_there(place.link):
        try:
            _run(["ip", "-batch", "-"], f"link delete {place.link}\n")
        except ClusterError:
            if _is_there(place.link):
                raise


def _is_there(link: str) -> bool:
    return link in {name for _, name in socket.if_nameindex()}


def cut(place: NodeAddress) -> None:
    """From now on nothing passes between a node and everything else."""
    _run(["nft", "-f", "-"], f"add element inet partition cut {{ {place.link} }}\n")


def heal(place: NodeAddress) -> None:
    """End of `cut`; nothing where there was none."""
    _run(["nft", "-f", "-"], f"add element inet partition cut {{ {place.link} }}\ndelete element inet partition cut {{ {place.link} }}\n")
