"""Runs a command in a network namespace of its own and records where its processes tried to go.

`python -m tests.unit.telemetry.recorder OUT COMMAND…`. In the namespace every address of the world leads to the loopback device, where
nothing answers but what the command itself started. Each first packet of a TCP connection and each UDP datagram is recorded with its
destination, whichever library or language sent it. OUT receives them as JSON: `[["udp", "192.0.2.53", 53], …]`.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

NAMESERVER = "192.0.2.53"
"""Reserved for documentation (RFC 5737): a question to it is never one to a name server of the machine."""
FILES = {"/etc/resolv.conf": f"nameserver {NAMESERVER}\n", "/etc/nsswitch.conf": "hosts: files dns\n"}
"""So that names are asked for over the network and not through a socket of the machine's resolver, which would be invisible here."""

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
ETHERNET = 14
TCP, UDP = 6, 17
SYN, ACK = 0x02, 0x10
HEADERS = 128
"""Bytes of a packet that are kept."""
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
BUFFER = 64 * 2**20

Destination = tuple[str, str, int]


def main() -> int:
    out, command = Path(sys.argv[1]), sys.argv[2:]
    leave_the_machine()
    lead_everything_here()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as packets:
        keep_headers(packets)
        packets.bind(("lo", 0))
        found: set[Destination] = set()
        ended = threading.Event()
        reader = threading.Thread(target=read, args=(packets, found, ended))
        reader.start()
        code = subprocess.run(command, check=False).returncode
        ended.set()
        reader.join()
        _, lost = struct.unpack("II", packets.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    if lost:
        print(f"{lost} packets were lost: nothing can be said about them", file=sys.stderr)
        return 1
    out.write_text(json.dumps(sorted(found)))
    return code


def leave_the_machine() -> None:
    """Move this process to a network and a mount namespace of its own, so that what follows changes nothing outside.

    Raises:
        OSError: the kernel or the user's rights do not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS | (CLONE_NEWUSER if user else 0)) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def lead_everything_here() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "route", "add", "local", "default", "dev", "lo"], check=True)
    subprocess.run(["ip", "-6", "route", "add", "local", "default", "dev", "lo"], check=False, stderr=subprocess.DEVNULL)  # without IPv6
    with TemporaryDirectory() as folder:
        for number, (path, text) in enumerate(FILES.items()):
            file = Path(folder) / str(number)
            file.write_text(text)
            subprocess.run(["mount", "--bind", str(file), path], check=True)


def keep_headers(packets: socket.socket) -> None:
    """Keep the first bytes of each packet only, so that the buffer never overflows: a filter with the one instruction `ret HEADERS`."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, HEADERS))
    packets.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))
    packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    packets.settimeout(0.2)


def read(packets: socket.socket, found: set[Destination], ended: threading.Event) -> None:
    while True:
        over = ended.is_set()
        try:
            destination = destination_of(packets.recv(HEADERS))
        except TimeoutError:
            if over:
                return
            continue
        if destination is not None:
            found.add(destination)


def destination_of(packet: bytes) -> Destination | None:
    """Where a packet asks for a connection or sends a datagram; None for an answer, and for other protocols."""
    (kind,) = struct.unpack_from("!H", packet, ETHERNET - 2)
    if kind == ETH_P_IP:
        start = ETHERNET + (packet[ETHERNET] & 0x0F) * 4
        protocol, address = packet[ETHERNET + 9], packet[ETHERNET + 16 : ETHERNET + 20]
    elif kind == ETH_P_IPV6:
        start = ETHERNET + 40
        protocol, address = packet[ETHERNET + 6], packet[ETHERNET + 24 : ETHERNET + 40]
    else:
        return None
    text = str(ipaddress.ip_address(address))
    (port,) = struct.unpack_from("!H", packet, start + 2) if protocol in (TCP, UDP) else (0,)
    if protocol == UDP:
        return "udp", text, port
    if protocol == TCP and packet[start + 13] & (SYN | ACK) == SYN:
        return "tcp", text, port
    return None


if __name__ == "__main__":
    sys.exit(main())
