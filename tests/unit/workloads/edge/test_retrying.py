"""An agent comes back when the gateway asks it to, and not together with all others."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bramble.contracts.report import OFFLINE_SECONDS, REPORT_SECONDS, Report
from bramble_workloads.device.backoff import retry_seconds
from bramble_workloads.device.errors import GatewayRefused, GatewayUnavailable
from bramble_workloads.device.gateway_client import LONGEST_RETRY_SECONDS, GatewayClient
from bramble_workloads.edge import agent, reporting
from bramble_workloads.edge.reporting import Reporter

REPORT = Report(node="pi-1", fleet="f", board="b", boot_id="b", instance="i", uptime_ms=1, sequence=1)


@asynccontextmanager
async def gateway(folder: Path, status: int, headers: dict[str, str]) -> AsyncIterator[tuple[GatewayClient, list[float]]]:
    """A client of a gateway that refuses everything, and when it was called."""
    calls: list[float] = []

    async def refuse(_: web.Request) -> web.Response:
        calls.append(asyncio.get_running_loop().time())
        return web.json_response({"error": "busy"}, status=status, headers=headers)

    application = web.Application()
    application.add_routes([web.post("/v1/status", refuse), web.get("/v1/assignment", refuse)])
    server = TestServer(application)
    await server.start_server()
    (folder / "token").write_text("t")
    try:
        async with GatewayClient(str(server.make_url("/")), token=folder / "token", ca=folder / "none") as client:
            yield client, calls
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("status", "told", "expected"),
    [
        pytest.param(503, "3", 3.0, id="busy"),
        pytest.param(429, "5", 5.0, id="throttled"),
        pytest.param(503, "60", LONGEST_RETRY_SECONDS, id="as proxies ask for"),
        pytest.param(503, "86400", LONGEST_RETRY_SECONDS, id="longer than a device may be silent"),
        pytest.param(503, "9" * 5000, 0.0, id="a number that nobody writes"),
        pytest.param(503, "Wed, 21 Oct 2026 07:28:00 GMT", 0.0, id="a date"),
        pytest.param(503, "-3", 0.0, id="negative"),
        pytest.param(500, None, 0.0, id="not told"),
    ],
)
async def test_what_the_gateway_asks_for_is_bounded(tmp_path: Path, status: int, told: str | None, expected: float) -> None:
    async with gateway(tmp_path, status, {"Retry-After": told} if told is not None else {}) as (client, _):
        with pytest.raises(GatewayUnavailable) as raised:
            await client.report(REPORT)
    assert raised.value.retry_seconds == expected
    assert expected <= retry_seconds(raised.value) <= expected * 1.25


def test_a_device_that_waits_as_long_as_it_may_does_not_count_as_offline() -> None:
    longest = max(retry_seconds(GatewayUnavailable("busy", LONGEST_RETRY_SECONDS)) for _ in range(1000))
    assert REPORT_SECONDS * 1.1 + longest < OFFLINE_SECONDS - 1


def test_devices_that_were_told_the_same_come_back_at_different_times() -> None:
    waits = {retry_seconds(GatewayUnavailable("busy", 4.0)) for _ in range(100)}
    assert len(waits) > 90
    assert retry_seconds(GatewayRefused("no")) == 0.0


class Times:
    """What was slept, in place of sleeping."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, rounds: int) -> None:
        self.slept: list[float] = []
        self._rounds: Iterator[int] = iter(range(rounds))
        self._sleep = asyncio.sleep
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": self.sleep}))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if next(self._rounds, None) is None:
            raise asyncio.CancelledError
        await self._sleep(0)


async def test_an_agent_follows_its_assignments_again_when_it_was_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = Times(monkeypatch, agent, rounds=2)
    node = SimpleNamespace(misses_assignments=lambda: False)
    async with gateway(tmp_path, 503, {"Retry-After": "5"}) as (client, _):
        with pytest.raises(asyncio.CancelledError):
            await agent.follow_assignments(node, client)  # type: ignore[arg-type]
    assert len(times.slept) == 3, "without the header it would have waited for at most 4 s"
    assert all(5 <= each <= 6.25 for each in times.slept)


async def test_an_agent_reports_again_when_it_was_asked_to_although_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = Times(monkeypatch, reporting, rounds=2)
    changed = asyncio.Event()
    sequence = itertools.count()
    node = SimpleNamespace(changed=changed)

    class Reporting(Reporter):
        def report(self) -> Report:
            changed.set()
            return REPORT.model_copy(update={"sequence": next(sequence)})

    async with gateway(tmp_path, 429, {"Retry-After": "3"}) as (client, _):
        with pytest.raises(asyncio.CancelledError):
            await Reporting(node, client).run()  # type: ignore[arg-type]
    assert len(times.slept) == 3
    assert all(3 <= each <= 3.75 for each in times.slept)
