"""Ports of the host's 127.0.0.1 that lead into the cluster.

The supervisor enters the router's network namespace after it has kept a descriptor of the host's. A socket belongs to the namespace
that it was made in, so one process can listen in the host's and connect in the cluster's, and whoever kills it kills the relays too.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

from tests.cluster.errors import ClusterError
from tests.cluster.namespaces import socket_in

CHUNK = 1 << 16
BACKLOG = 128


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
            await self._serve(target, reader, writer)

        self._servers.append(await asyncio.start_server(serve, sock=listening))
        self._ports[name] = port
        return port

    async def _serve(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            outgoing = socket_in(target.network(), self._home)
        except ClusterError:  # no node is left to connect from
            writer.transport.abort()
            return
        try:
            await asyncio.get_running_loop().sock_connect(outgoing, (target.address, target.port))
        except OSError:  # nobody listens there now: to the caller it looks like that too
            outgoing.close()
            writer.transport.abort()
            return
        for end in (outgoing, writer.get_extra_info("socket")):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far_reader, far_writer = await asyncio.open_connection(sock=outgoing)
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(_copy(reader, far_writer))
                directions.create_task(_copy(far_reader, writer))
        except* ConnectionError:  # one end is gone without a goodbye: so is the other
            for end_writer in (far_writer, writer):
                end_writer.transport.abort()
        finally:
            for end_writer in (far_writer, writer):
                end_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until its end; the other direction may go on (half-closed connections are used by kubectl's streams)."""
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
