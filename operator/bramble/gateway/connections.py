"""Ends connections that cost the gateway memory and bring it nothing.

aiohttp's `keepalive_timeout` ends a connection that has no request under way, half a request's head included. This bounds how many of them
there may be meanwhile. A connection on which a call succeeded is not counted: thousands of devices may share one address, and their calls
are bounded by `rates`.
"""

from __future__ import annotations

from collections import Counter

from aiohttp import web

IDLE_OF_ADDRESS = 64
"""Connections of one address on which no call has succeeded and none is under way."""

IDLE = 1024
"""The same for all addresses. A connection with TLS takes about 60 KiB."""

LOOK_SECONDS = 1.0
"""How often they are counted."""


class Connections:
    """Which connections have earned their place."""

    def __init__(self) -> None:
        self._answering: Counter[web.RequestHandler] = Counter()
        self._useful: set[web.RequestHandler] = set()

    def begin(self, request: web.Request) -> None:
        """A call is under way."""
        self._answering[request.protocol] += 1

    def end(self, request: web.Request, *, succeeded: bool) -> None:
        """A call was answered."""
        self._answering.subtract((request.protocol,))
        if succeeded:
            self._useful.add(request.protocol)

    def close_idle(self, server: web.Server) -> int:
        """Close the oldest idle connections beyond the bounds. Returns how many."""
        present = server.connections  # the oldest first
        self._useful &= set(present)
        self._answering = +self._answering
        idle = [each for each in present if each not in self._useful and each not in self._answering]
        of_address, kept, closed = Counter[str](), 0, 0
        for connection in reversed(idle):
            address = _address(connection)
            if kept >= IDLE or of_address[address] >= IDLE_OF_ADDRESS:
                connection.force_close()
                closed += 1
                continue
            of_address[address] += 1
            kept += 1
        return closed


def _address(connection: web.RequestHandler) -> str:
    peer = connection.peername
    return peer[0] if isinstance(peer, tuple) else ""
