"""Puts the gateway together, serves it, and stops it gracefully: calls that wait are answered first.

It has two listeners: TLS for devices, jobs and the operator, and plain HTTP for the kubelet's probes and for Prometheus.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import random
import signal
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aiohttp
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bramble.errors import BrambleError, Retryable
from bramble.gateway.assignments import Assignments
from bramble.gateway.blobs import Blobs
from bramble.gateway.calls import Calls
from bramble.gateway.connections import LOOK_SECONDS, Connections
from bramble.gateway.identity import Identities
from bramble.gateway.jobs import Jobs
from bramble.gateway.metrics import Metrics
from bramble.gateway.rates import Rates
from bramble.gateway.refusals import Refusal
from bramble.gateway.reports import ReceivedReports
from bramble.gateway.stores import Stores
from bramble.gateway.watching import follow
from bramble.kube.client import Client
from bramble.kube.config import load
from bramble.kube.store import store_session
from bramble.objectstore.addresses import Addresses
from bramble.settings import Settings

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 30.0
"""How long running answers may take when the process stops. The chart gives the pod more time than this."""

DRAIN_SECONDS = 5.0
"""Seconds from "not ready" to the end of the listener. The kube-proxies need this time to stop sending calls here, and the devices to
connect to another replica one after the other."""

CERTIFICATE_SECONDS = 60.0
"""Seconds between two checks of the certificate's files, which change when their Secret is renewed."""

COLLECT_SECONDS = 60.0
"""Seconds between two full garbage collections. Reference counts free nearly everything at once; each TLS handshake that fails leaves four
objects."""

INVALID, TOO_MANY, BAD_GATEWAY, UNAVAILABLE = 400, 429, 502, 503

CALLS = "/v1/"
"""The paths of the calls, each of which needs an identity."""

HEAD_SECONDS = 20.0
"""A connection that brings no whole head of a request within this time is closed, the first one or another. A device calls every 5 s."""

HANDSHAKE_SECONDS = 10.0
"""How long the TLS handshake of a connection may take."""

BACKLOG = 1024
"""How many connections the kernel keeps until they are accepted."""

ACCEPTED_AT_ONCE = 16
"""How many are accepted before those that are open have a turn. If a thousand were, each would wait for the TLS handshakes of all others,
and many devices would give up first."""

TLS_BUFFER_BYTES = 32 * 1024
"""What each TLS connection receives into; a record of TLS has 16 KiB. asyncio's own buffer has 256 KiB, filled with zeros for each
connection, so a thousand devices with two connections each would take 560 MiB."""

PARSING: dict[str, Any] = {"keepalive_timeout": HEAD_SECONDS, "auto_decompress": False}
"""How requests are read. A compressed body would otherwise be decompressed before anybody knows who has sent it."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Gateway:
    """One replica of the gateway: its calls and the objects that they share."""

    calls: Calls
    metrics: Metrics
    assignments: Assignments
    reports: ReceivedReports
    connections: Connections

    @classmethod
    def of(
        cls, client: Client, settings: Settings, addresses: Addresses, session: aiohttp.ClientSession, metrics: Metrics | None = None
    ) -> Gateway:
        """Create a replica that uses this API server, and this session for the stores at these addresses."""
        metrics = metrics or Metrics()
        assignments, reports = Assignments(), ReceivedReports(settings.pod_name)
        jobs, stores = Jobs(client), Stores(client, addresses, session)
        blobs = Blobs(settings, assignments, jobs, stores, metrics)
        calls = Calls(
            settings, Identities(client), jobs, stores, assignments, reports, blobs, Rates(settings.edge_namespace), asyncio.Event()
        )
        metrics.waiting.set_function(lambda: assignments.waiting)
        metrics.devices.set_function(lambda: reports.devices)
        metrics.assignments.set_function(lambda: len(assignments))
        return cls(calls, metrics, assignments, reports, Connections())

    @property
    def ready(self) -> bool:
        """True if the Service should send calls to this replica."""
        return self.assignments.synced.is_set() and not self.calls.draining.is_set()

    def application(self) -> web.Application:
        """The application of the TLS listener."""
        application = web.Application(middlewares=[self._measure])
        application.add_routes([*self.calls.routes(), *self._health()])
        return application

    def side_application(self) -> web.Application:
        """The application of the plain listener: probes and metrics."""
        application = web.Application()
        application.add_routes([*self._health(), web.get("/metrics", self._metrics)])
        return application

    def drain(self) -> None:
        """Become not ready, and answer every waiting call."""
        self.calls.draining.set()
        self.assignments.wake_all()

    def _health(self) -> list[web.RouteDef]:
        return [web.get("/healthz", self._alive), web.get("/readyz", self._ready)]

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.Response:
        return (
            web.Response(text="ok\n")
            if self.ready
            else web.Response(status=UNAVAILABLE, text="the assignments are not listed yet, or this replica is stopping\n")
        )

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @web.middleware
    async def _measure(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count the call and its time."""
        call = request.match_info.route.name or "other"
        started, code = asyncio.get_running_loop().time(), 500
        self.connections.begin(request)
        try:
            answer = await self._answer(request, handler)
            code = answer.status
            return answer
        finally:
            self.connections.end(request, succeeded=request.path.startswith(CALLS) and code < INVALID)
            self.metrics.requests.labels(call, str(code)).inc()
            self.metrics.seconds.labels(call).observe(asyncio.get_running_loop().time() - started)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Run the handler and turn its errors into answers."""
        try:
            return await handler(request)
        except Refusal as refusal:
            return _error(request, refusal.status, str(refusal), refusal.retry_seconds)
        except BrambleError as error:
            return _error(request, UNAVAILABLE if isinstance(error, Retryable) else BAD_GATEWAY, str(error))
        except web.HTTPException as error:
            return _error(request, error.status, error.text or error.reason)


def _error(request: web.Request, status: int, message: str, retry_seconds: float = 2.0) -> web.Response:
    """The answer to a call that failed. Where it may be repeated, the time for it differs between callers that fail together."""
    level = logging.WARNING if status >= 500 else logging.INFO  # noqa: PLR2004
    log.log(level, "%s %s from %s: %d %s", request.method, request.path, request.remote, status, message)
    wait = math.ceil(retry_seconds * random.uniform(1.0, 2.0))  # noqa: S311  (spreads load)
    headers = {"Retry-After": str(wait)} if status in (TOO_MANY, UNAVAILABLE) else {}
    return web.json_response({"error": message}, status=status, headers=headers)


def tls_context(folder: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with `tls.crt` and `tls.key` from this folder.

    Raises:
        OSError: one of them is missing or is not PEM (ssl.SSLError).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


async def renew(context: ssl.SSLContext, folder: Path, seconds: float = CERTIFICATE_SECONDS) -> None:
    """Load the certificate again whenever its files change, until cancelled. New connections use the new certificate."""
    loaded = _pair(folder)
    while True:
        await asyncio.sleep(seconds)
        present = _pair(folder)
        if present == loaded:
            continue
        try:
            context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        except OSError as error:
            log.warning("the new certificate in %s cannot be used, so the old one is still used: %s", folder, error)
            continue
        loaded = present
        log.info("the new certificate in %s is used from now on", folder)


def _pair(folder: Path) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() if (path := folder / name).is_file() else b"" for name in ("tls.crt", "tls.key"))


def make_tls_buffers_small() -> None:
    """Let the TLS connections of this process take little memory. asyncio has no other way to say so."""
    SSLProtocol.max_size = TLS_BUFFER_BYTES


@asynccontextmanager
async def _listening(application: web.Application, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[web.Server]:
    """Listen on a port while the body runs, then answer what is under way. aiohttp's own sites cannot limit the time of a handshake."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, **PARSING)
    await runner.setup()
    server = cast("web.Server", runner.server)
    try:
        handshake = None if tls is None else HANDSHAKE_SECONDS
        listener = await asyncio.get_running_loop().create_server(
            server, None, port, ssl=tls, backlog=ACCEPTED_AT_ONCE, ssl_handshake_timeout=handshake
        )
        _keep_waiting(listener, BACKLOG)
        try:
            yield server
        finally:
            listener.close()
    finally:
        await runner.cleanup()


def _keep_waiting(listener: asyncio.Server, backlog: int) -> None:
    """Let the kernel keep so many connections that wait. asyncio accepts as many at once as it lets wait."""
    for each in listener.sockets:
        with each.dup() as same:
            same.listen(backlog)


async def _bound_connections(connections: Connections, server: web.Server) -> None:
    """Close idle connections beyond the bounds, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if closed := connections.close_idle(server):
            log.warning("closed %d connections on which no call had succeeded, beyond the bound of their address or of all", closed)


async def collect() -> None:
    """Make full garbage collections, until cancelled. There are no others (`bramble.__main__.collect_rarely`)."""
    while True:
        await asyncio.sleep(COLLECT_SECONDS)
        gc.collect()


@asynccontextmanager
async def serving(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    """Serve on both ports while the body runs; then stop gracefully."""
    async with AsyncExitStack() as stack:
        addresses = Addresses(settings.store_networks, client.server)
        session = await stack.enter_async_context(store_session(addresses))
        gateway = Gateway.of(client, settings, addresses, session)
        folder = Path(settings.gateway_tls)
        context = tls_context(folder)
        await stack.enter_async_context(_listening(gateway.side_application(), settings.http_port))
        server = await stack.enter_async_context(_listening(gateway.application(), settings.gateway_port, context))
        # If the watch fails with an unexpected error, the process must end instead of answering from old assignments for ever.
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        work = [
            tasks.create_task(follow(client, settings.namespace, gateway.assignments)),
            tasks.create_task(renew(context, folder)),
            tasks.create_task(_bound_connections(gateway.connections, server)),
            tasks.create_task(collect()),
        ]
        try:
            yield gateway
        finally:
            gateway.drain()
            for task in work:
                task.cancel()


async def run(settings: Settings) -> None:
    """Run `python -m bramble gateway` until SIGTERM or SIGINT."""
    make_tls_buffers_small()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Client(load()) as client, serving(client, settings) as gateway:
        log.info("serving on port %d, metrics on port %d", settings.gateway_port, settings.http_port)
        await stop.wait()
        gateway.drain()
        await asyncio.sleep(DRAIN_SECONDS)
