"""Records where the processes of this namespace try to go: new TCP connections, UDP datagrams, and names that are asked for.

Packets are read from the loopback device, to which every address of the world leads here, so it does not matter which library or language
sends them. Nothing answers but what a test itself started.
"""

from __future__ import annotations

import ctypes
import ipaddress
import itertools
import os
import socket
import struct
import subprocess
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

NAMESERVER = "192.0.2.53"
"""An address that is reserved for documentation (RFC 5737)."""
FILES = {
    "/etc/resolv.conf": f"nameserver {NAMESERVER}\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
    "/etc/hosts": f"127.0.0.1 localhost {socket.gethostname()}\n::1 localhost\n",
}
"""As in a pod: it knows itself, and asks for other names over the network. A socket of the machine's resolver would be invisible here."""
MARK = "192.0.2.1"
"""Receives a datagram of this process to a new port each time, to know that everything before it has been read."""

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
ETHERNET = 14
TCP, UDP, DNS = 6, 17, 53
SYN, ACK = 0x02, 0x10
HEADERS = 128
"""Bytes of a packet that are kept."""
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
BUFFER = 64 * 2**20
SECONDS = 60.0

Destination = tuple[str, str, int]
"""Protocol (`tcp` or `udp`), address and port; or `dns`, the name that was asked for, and 53."""


def leave_the_machine() -> None:
    """Move this process to a network and a mount namespace of its own. Only a process with one thread can do it.

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
    _lead_everything_here()


def _lead_everything_here() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "route", "add", "local", "default", "dev", "lo"], check=True)
    subprocess.run(["ip", "-6", "route", "add", "local", "default", "dev", "lo"], check=False, stderr=subprocess.DEVNULL)  # without IPv6
    with TemporaryDirectory() as folder:
        for number, (path, text) in enumerate(FILES.items()):
            file = Path(folder) / str(number)
            file.write_text(text)
            subprocess.run(["mount", "--bind", str(file), path], check=True)


class Recorder:
    """Reads packets in a thread. Use as a context manager, in a namespace that `leave_the_machine` made."""

    def __init__(self) -> None:
        self._packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        # A filter with the one instruction `ret HEADERS`: only headers are kept, so the buffer never overflows.
        program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, HEADERS))
        self._packets.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))
        self._packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self._packets.bind(("lo", 0))
        self._found: set[Destination] = set()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._marks = itertools.count(1)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._packets.close()

    def wait_for(self, protocol: str) -> None:
        """Wait until a process uses this protocol. Raises RuntimeError: none does."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(each[0] == protocol for each in self._found), SECONDS):
                raise RuntimeError(f"no process used {protocol} in {SECONDS:.0f} s")

    def take(self) -> set[Destination]:
        """Where processes tried to go since the last call.

        Raises:
            RuntimeError: packets were lost, or are not read in time.
        """
        mark = ("udp", MARK, next(self._marks))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", mark[1:])
        with self._changed:
            if not self._changed.wait_for(lambda: mark in self._found, SECONDS):
                raise RuntimeError("the packets are not read")
            found, self._found = self._found - {mark}, set()
        _, lost = struct.unpack("II", self._packets.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        if lost:
            raise RuntimeError(f"{lost} packets were lost")
        return found

    def _read(self) -> None:
        while True:
            try:
                packet, (_, _, direction, *_) = self._packets.recvfrom(HEADERS)
            except OSError:  # closed
                return
            if direction == socket.PACKET_OUTGOING:  # on loopback each packet is seen again as it comes in
                continue
            if (destination := destination_of(packet)) is not None:
                with self._changed:
                    self._found.add(destination)
                    self._changed.notify_all()


def destination_of(packet: bytes) -> Destination | None:
    """Where a packet asks for a connection or sends a datagram; None for answers and for other protocols."""
    (kind,) = struct.unpack_from("!H", packet, ETHERNET - 2)
    if kind == ETH_P_IP:
        start = ETHERNET + (packet[ETHERNET] & 0x0F) * 4
        protocol, address = packet[ETHERNET + 9], packet[ETHERNET + 16 : ETHERNET + 20]
    elif kind == ETH_P_IPV6:
        start = ETHERNET + 40
        protocol, address = packet[ETHERNET + 6], packet[ETHERNET + 24 : ETHERNET + 40]
    else:
        return None
    if protocol not in (TCP, UDP):
        return None
    text = str(ipaddress.ip_address(address))
    (port,) = struct.unpack_from("!H", packet, start + 2)
    if protocol == UDP:
        return ("dns", _name(packet[start + 8 + 12 :]), port) if port == DNS else ("udp", text, port)
    return ("tcp", text, port) if packet[start + 13] & (SYN | ACK) == SYN else None


def _name(question: bytes) -> str:
    """The name in a DNS question: labels, each after a byte with its length."""
    labels: list[str] = []
    while question and (length := question[0]):
        labels.append(question[1 : length + 1].decode(errors="replace"))
        question = question[length + 1 :]
    return ".".join(labels)
