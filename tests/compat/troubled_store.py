"""An HTTP proxy in front of an S3 server, which answers late, or fails a share of the requests in the ways in which stores fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

import aiohttp
from aiohttp import web
from yarl import URL

from bramble.contracts.store import StoreConfig
from tests.ports import free_port

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "date", "server"}
LARGEST = 256 * 1024 * 1024


@dataclass
class Trouble:
    """What goes wrong.

    Attributes:
        share: the share of the requests that fail: in turn with 503 SlowDown, with 500 and no error document, and with a connection that
            breaks before the answer and in the middle of it.
        seconds: how long each answer is late.
    """

    share: float = 0.0
    seconds: float = 0.0
    requests: int = 0
    failed: int = 0
    _dice: Random = field(default_factory=lambda: Random(7))

    def next_failure(self) -> int | None:
        """The way in which this request fails, or None."""
        self.requests += 1
        if self._dice.random() >= self.share:
            return None
        self.failed += 1
        return self.failed % 4


@contextmanager
def troubled(config: StoreConfig, trouble: Trouble) -> Iterator[StoreConfig]:
    """The store behind a proxy of its own, which is gone afterwards."""
    port, loop, ready = free_port(), asyncio.new_event_loop(), threading.Event()
    stopped = asyncio.Event()

    async def serve() -> None:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            application = web.Application(client_max_size=LARGEST)
            application.router.add_route("*", "/{path:.*}", _handler(session, config.endpoint, trouble))
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            ready.set()
            await stopped.wait()
            await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        if not ready.wait(20):
            raise RuntimeError(f"the proxy does not listen on port {port}")
        yield config._replace(endpoint=f"http://127.0.0.1:{port}")
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        loop.close()


def _handler(session: aiohttp.ClientSession, endpoint: str, trouble: Trouble) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await asyncio.sleep(trouble.seconds)
        failure = trouble.next_failure()
        if failure == 0:
            return web.Response(status=503, body=SLOW_DOWN, content_type="application/xml")
        if failure == 1:
            return web.Response(status=500)
        if failure == 2:
            return _break(request)
        # The client's Host is part of what it has signed, so it is passed on unchanged.
        url = URL(f"{endpoint}{request.raw_path}", encoded=True)
        async with session.request(request.method, url, headers=request.headers, data=body, allow_redirects=False) as answer:
            content = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            if failure == 3 and content:
                await response.write(content[: len(content) // 2])
                return _break(request)
            await response.write(content)
            await response.write_eof()
            return response

    return handle


def _break(request: web.Request) -> web.Response:
    """End the connection as a broken one ends."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
