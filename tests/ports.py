"""A port for a server that a test starts as a process of its own."""

from __future__ import annotations

import secrets
import socket

BELOW_EPHEMERAL = range(10_000, 30_000)
"""Linux gives away ports of its own choice from 32768 on, and NodePorts begin at 30000: none of these is taken by chance."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    while True:
        port = secrets.choice(BELOW_EPHEMERAL)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
