"""The operator's HTTP server: /healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bramble.engine.liveness import Liveness
from bramble.engine.metrics import Metrics


class Probes:
    """Answers the kubelet's probes and Prometheus. It serves no secrets and accepts no input."""

    def __init__(self, liveness: Liveness, ready: Callable[[], bool], measure: Callable[[], None], metrics: Metrics) -> None:
        """`ready` says whether the cache is filled; `measure` updates the gauges that are only read on a scrape."""
        self._liveness, self._ready, self._measure, self._metrics = liveness, ready, measure, metrics

    def application(self) -> web.Application:
        """The web application with the three routes."""
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._scrape)
        return application

    async def start(self, port: int) -> web.AppRunner:
        """Listen on every address of the pod. The caller must call `cleanup` of the runner."""
        runner = web.AppRunner(self.application(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, port=port).start()
        return runner

    async def _healthz(self, _: web.Request) -> web.Response:
        problems = self._liveness.problems()
        return web.Response(status=500 if problems else 200, text="\n".join(problems) or "ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok") if self._ready() else web.Response(status=503, text="the cache is not filled yet")

    async def _scrape(self, _: web.Request) -> web.Response:
        self._measure()
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
