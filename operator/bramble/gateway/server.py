"""Puts the gateway together, serves it, and lets everybody who waits go before it leaves.

Two listeners: TLS for devices, jobs and the operator; plain HTTP for the kubelet's and Prometheus's questions about the process.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bramble.errors import BrambleError, Retryable
from bramble.gateway.assignments import Assignments
from bramble.gateway.blobs import Blobs
from bramble.gateway.calls import Calls
from bramble.gateway.identity import Identities
from bramble.gateway.jobs import Jobs
from bramble.gateway.metrics import Metrics
from bramble.gateway.refusals import Refusal
from bramble.gateway.reports import Heard
from bramble.gateway.stores import Stores
from bramble.gateway.watching import follow
from bramble.kube.client import Client
from bramble.kube.config import load
from bramble.settings import Settings

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 30.0
"""For answers under way. The chart grants the pod more than this."""
LEAVING_SECONDS = 2.0
"""Between the word that this replica leaves and the end of its listener: kube-proxies need so long to send nobody here any more."""
CERTIFICATE_SECONDS = 60.0
"""Between two looks at the certificate's files, which a Secret's renewal replaces."""
TOO_MANY, BAD_GATEWAY, UNAVAILABLE = 429, 502, 503

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Gateway:
    """One replica: its calls, and what they share."""

    calls: Calls
    metrics: Metrics
    assignments: Assignments
    heard: Heard

    @classmethod
    def of(cls, client: Client, settings: Settings, session: aiohttp.ClientSession, metrics: Metrics | None = None) -> Gateway:
        """A replica that asks this API server, and reads stores through this session."""
        metrics = metrics or Metrics()
        assignments, heard = Assignments(), Heard(settings.pod_name)
        jobs, stores = Jobs(client), Stores(client, session)
        blobs = Blobs(settings, assignments, jobs, stores, metrics)
        calls = Calls(settings, Identities(client), jobs, stores, assignments, heard, blobs, asyncio.Event())
        metrics.waiting.set_function(lambda: assignments.waiting)
        metrics.devices.set_function(lambda: heard.reports)
        metrics.assignments.set_function(lambda: len(assignments))
        return cls(calls, metrics, assignments, heard)

    @property
    def ready(self) -> bool:
        """Whether calls should be sent here."""
        return self.assignments.synced.is_set() and not self.calls.draining.is_set()

    def application(self) -> web.Application:
        """The TLS listener's calls."""
        application = web.Application(middlewares=[self._answered])
        application.add_routes([*self.calls.routes(), *self._health()])
        return application

    def side_application(self) -> web.Application:
        """The plain listener's."""
        application = web.Application()
        application.add_routes([*self._health(), web.get("/metrics", self._metrics)])
        return application

    def leave(self) -> None:
        """From here on nobody waits, and readiness says so."""
        self.calls.draining.set()
        self.assignments.release()

    def _health(self) -> list[web.RouteDef]:
        return [web.get("/healthz", self._alive), web.get("/readyz", self._ready)]

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n") if self.ready else web.Response(status=UNAVAILABLE, text="no assignments listed yet, or leaving\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts the call, and gives every refusal the one form of an error."""
        call = request.match_info.route.name or "other"
        started, code = asyncio.get_running_loop().time(), "500"
        try:
            answer = await self._handled(request, handler)
            code = str(answer.status)
            return answer
        finally:
            self.metrics.requests.labels(call, code).inc()
            self.metrics.seconds.labels(call).observe(asyncio.get_running_loop().time() - started)

    async def _handled(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            return _error(request, refusal.status, str(refusal))
        except BrambleError as error:
            return _error(request, UNAVAILABLE if isinstance(error, Retryable) else BAD_GATEWAY, str(error))
        except web.HTTPException as error:
            return _error(request, error.status, error.text or error.reason)


def _error(request: web.Request, status: int, message: str) -> web.Response:
    level = logging.WARNING if status >= 500 else logging.INFO  # noqa: PLR2004
    log.log(level, "%s %s from %s: %d %s", request.method, request.path, request.remote, status, message)
    headers = {"Retry-After": "2"} if status in (TOO_MANY, UNAVAILABLE) else {}
    return web.json_response({"error": message}, status=status, headers=headers)


def tls_context(folder: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with `tls.crt` and `tls.key` of this folder.

    Raises:
        OSError: one of them is missing or no PEM (ssl.SSLError).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


async def renew(context: ssl.SSLContext, folder: Path, seconds: float = CERTIFICATE_SECONDS) -> None:
    """Load the certificate again whenever its files change, for connections from then on; until cancelled."""
    loaded = _pair(folder)
    while True:
        await asyncio.sleep(seconds)
        present = _pair(folder)
        if present == loaded:
            continue
        try:
            context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        except OSError as error:
            log.warning("the certificate in %s changed and cannot be used; the one before stays: %s", folder, error)
            continue
        loaded = present
        log.info("the certificate in %s changed and is used from now on", folder)


def _pair(folder: Path) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() if (path := folder / name).is_file() else b"" for name in ("tls.crt", "tls.key"))


@asynccontextmanager
async def serving(client: Client, settings: Settings) -> AsyncIterator[Gateway]:
    """A replica that answers on both of its ports for as long as the body runs, and then leaves gracefully."""
    async with AsyncExitStack() as stack:
        # Transparent decompression would change the bytes that a digest names.
        connector = aiohttp.TCPConnector(limit=256, keepalive_timeout=30)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, auto_decompress=False))
        gateway = Gateway.of(client, settings, session)
        folder = Path(settings.gateway_tls)
        context = tls_context(folder)
        for application, port, tls in (
            (gateway.side_application(), settings.http_port, None),
            (gateway.application(), settings.gateway_port, context),
        ):
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, keepalive_timeout=75)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, port=port, ssl_context=tls, backlog=1024).start()
        # A watch that died of an error nobody foresaw must end the process, not leave it answering for ever from what it last saw.
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        work = [tasks.create_task(follow(client, settings.namespace, gateway.assignments)), tasks.create_task(renew(context, folder))]
        try:
            yield gateway
        finally:
            gateway.leave()
            for task in work:
                task.cancel()


async def run(settings: Settings) -> None:
    """`python -m bramble gateway`: until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Client(load()) as client, serving(client, settings) as gateway:
        log.info("serving on port %d, metrics on port %d", settings.gateway_port, settings.http_port)
        await stop.wait()
        gateway.leave()
        await asyncio.sleep(LEAVING_SECONDS)
