"""The server: it listens, bounds its connections, ends slow ones, and leaves without breaking an answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate

from bramble_workloads.edge.serve.http import limits
from bramble_workloads.edge.serve.http.bodies import Bodies
from bramble_workloads.edge.serve.http.connection import Connection
from bramble_workloads.edge.serve.http.messages import Call, Request

Handler = Callable[[Request], Call]


class HttpServer:
    """An HTTP/1.1 server with one handler for every request.

    The handler sees the head of a request, before any of its body is read, and raises HttpError to refuse it. An unexpected exception while
    a request is answered gives status 500 and a message in the event loop's log.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.leaving = False
        self.buffer = bytearray(limits.BUFFER)
        """What any connection reads goes here first; it is parsed before another one reads."""
        self.date = formatdate(usegmt=True)
        self.bodies = Bodies(limits.MAX_BODIES)
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._under_way = 0
        self._idle = asyncio.Event()
        """Set once no request is under way after `leave` was called."""
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int) -> None:
        """Take connections from now on."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self, loop), host, port, reuse_address=True)
        self._sweep()

    async def leave(self, seconds: float) -> None:
        """Take no new connection, answer what is under way, for at most so many seconds, and close."""
        self.leaving = True
        if not self._under_way:
            self._idle.set()
        if self._listener is not None:
            self._listener.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
                for connection in list(self._connections):
                    connection.close()
                await self._empty.wait()
        for connection in list(self._connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    # --------------------------------------------------------------------------------------------- for the connections

    def opened(self, connection: Connection) -> None:
        """A client connected. Where there are too many, one of the client (the address) with the most is closed.

        It is the one that would wait for a request no longer than its others; if it has a request under way on each, the one whose body
        would be waited for no longer. If the requests of that client are all complete, the new connection is closed where it is one of that
        client's several, and otherwise, of all clients, the connection that would wait for a request no longer.
        """
        if len(self._connections) >= limits.MAX_CONNECTIONS:
            count = Counter(each.client for each in self._connections)
            count[connection.client] += 1
            greediest = max(count, key=lambda client: (count[client], client == connection.client))
            theirs = [each for each in self._connections if each.client == greediest]
            unused = [each for each in theirs if each.between_requests] or [each for each in theirs if each.awaits_body]
            if not unused and (greediest != connection.client or not theirs):
                unused = [each for each in self._connections if each.between_requests]
            loser = min(unused, key=lambda each: each.deadline, default=connection)
            loser.abort()
            self._connections.discard(loser)  # its end is told later, and others may connect before
            if loser is connection:
                return
        self._connections.add(connection)
        self._empty.clear()

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def began(self) -> None:
        """A request is under way."""
        self._under_way += 1

    def ended(self) -> None:
        """A request was answered, or its client has left."""
        self._under_way -= 1
        if self.leaving and not self._under_way:
            self._idle.set()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.date = formatdate(usegmt=True)
        for connection in [each for each in self._connections if each.deadline < now]:
            connection.expire()
        self._sweeper = loop.call_later(limits.SWEEP_SECONDS, self._sweep)
