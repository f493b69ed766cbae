"""Ports of the host's 127.0.0.1 that lead into the cluster.

The supervisor enters the router's network namespace after it has kept a descriptor of the host's. A socket belongs to the namespace
that it was made in, so one process can listen in the host's and connect in the cluster's, and whoever kills it kills the relays too.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from tools.cluster.errors import ClusterError
from tools.cluster.namespaces import socket_in

CHUNK = 1 << 16
BACKLOG = 128
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of zero, socket(7)."""


@dataclass(frozen=True)
class Target:
    """Where a relay leads: an address and port as seen from a network namespace, a descriptor that is asked for at each connection."""

    address: str
    port: int
    network: Callable[[], int]


class Relays:
    """Listening ports by name, each leading to one target."""

    def __init__(self, host: int, home: int) -> None:
        self._host = host
        self._home = home
        self._ports: dict[str, int] = {}
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.Task[None] | None] = set()

    @property
    def ports(self) -> dict[str, int]:
        return dict(self._ports)

    async def open(self, name: str, target: Target) -> int:
        """The host's port that leads to the target; the same one when asked again under the same name."""
        if name in self._ports:
            return self._ports[name]
        listening = socket_in(self._host, self._home)
        listening.bind(("127.0.0.1", 0))
        listening.listen(BACKLOG)
        port: int = listening.getsockname()[1]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            self._open.add(task)
            try:
                await self._serve(target, reader, writer)
            finally:
                self._open.discard(task)

        self._servers.append(await asyncio.start_server(serve, sock=listening))
        self._ports[name] = port
        return port

    async def close(self) -> None:
        """Listen no more, and cut what is open."""
        for server in self._servers:
            server.close()
        open_now = [task for task in self._open if task is not None]
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)

    async def _serve(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            outgoing = socket_in(target.network(), self._home)
        except ClusterError:  # no node is left to connect from
            _reset(writer)
            return
        try:
            await asyncio.get_running_loop().sock_connect(outgoing, (target.address, target.port))
        except OSError:  # nobody listens there now: to the caller it looks like that too
            outgoing.close()
            _reset(writer)
            return
        for end in (outgoing, writer.get_extra_info("socket")):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far_reader, far_writer = await asyncio.open_connection(sock=outgoing)
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(_copy(reader, far_writer))
                directions.create_task(_copy(far_reader, writer))
        except* OSError:  # one end is gone without a goodbye: so is the other
            for end_writer in (far_writer, writer):
                _reset(end_writer)
        finally:
            for end_writer in (far_writer, writer):
                end_writer.close()
            for end_writer in (far_writer, writer):
                with contextlib.suppress(OSError):
                    await end_writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a broken one ends, not as one that was served: who is at its other end may then try again."""
    end: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until its end; the other direction may go on (half-closed connections are used by kubectl's streams)."""
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
