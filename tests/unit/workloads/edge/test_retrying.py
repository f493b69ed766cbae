"""An agent comes back when the gateway asks it to, and not together with all others."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bramble.contracts.report import OFFLINE_SECONDS, REPORT_SECONDS, Report
from bramble_workloads.device import gateway_client
from bramble_workloads.device.backoff import retry_seconds, wait_seconds
from bramble_workloads.device.errors import GatewayRefused, GatewayUnavailable
from bramble_workloads.device.gateway_client import (
    ANSWER_SECONDS,
    ASSIGNMENT,
    KEEPALIVE,
    LONGEST_RETRY_SECONDS,
    PATIENCE,
    POLL_SECONDS,
    SILENT_SECONDS,
    SLOWEST_BYTES_A_SECOND,
    STATUS,
    GatewayClient,
)
from bramble_workloads.edge import agent, reporting
from bramble_workloads.edge.reporting import Reporter, next_due
from tests.unit.listening import listening

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


def test_a_gateway_that_goes_without_a_word_leaves_time_for_three_reports() -> None:
    """The open connection does not answer, no new one can be opened, and the third try arrives: with the longest waits of each."""
    noticed = SILENT_SECONDS * 1.2  # the kernel looks when it sends again
    waits = sum(max(wait_seconds(failures, REPORT_SECONDS) for _ in range(1000)) for failures in range(2))
    silent = REPORT_SECONDS * 1.1 + 2 * noticed + waits
    assert silent < OFFLINE_SECONDS - 0.5
    assert KEEPALIVE[socket.TCP_KEEPIDLE] + SILENT_SECONDS * 1.2 < OFFLINE_SECONDS < POLL_SECONDS


def test_one_that_answers_no_more_leaves_time_for_another_replica() -> None:
    """Its machine acknowledges the report, so it is waited for once."""
    silent = REPORT_SECONDS * 1.1 + ANSWER_SECONDS + max(wait_seconds(0, REPORT_SECONDS) for _ in range(1000))
    assert silent + 32 * 1024 / SLOWEST_BYTES_A_SECOND < OFFLINE_SECONDS


@pytest.mark.parametrize("each_seconds", [0.003, 0.006, 0.012, 0.02])
def test_devices_that_all_call_at_once_do_not_keep_one_another_from_being_answered(each_seconds: float) -> None:
    """A thousand calls that are answered in turn. Also those that were given up take their time, because nobody knows it before."""
    free_at, given_up = 0.0, 0
    calls = [(0.0, ANSWER_SECONDS)] * 1000
    while calls:
        calls.sort()
        began, patience = calls.pop(0)
        free_at = max(free_at, began) + each_seconds
        if free_at > began + patience:
            given_up += 1
            calls.append((began + patience + wait_seconds(0, REPORT_SECONDS), ANSWER_SECONDS * PATIENCE))
        assert free_at < 2.5 * 1000 * each_seconds
    assert (given_up > 0) == (1000 * each_seconds > ANSWER_SECONDS)


async def test_a_report_that_fails_is_soon_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open connection may have ended with the replica that had it. A second failure could make the device count as offline."""
    times = Times(monkeypatch, reporting, rounds=5)

    class Reporting(Reporter):
        def report(self) -> Report:
            return REPORT

    async with gateway(tmp_path, 500, {}) as (client, calls):
        with pytest.raises(asyncio.CancelledError):
            await Reporting(SimpleNamespace(changed=asyncio.Event()), client).run()  # type: ignore[arg-type]
    assert len(calls) == 6
    for failures, slept in enumerate(times.slept):
        assert min(REPORT_SECONDS, 0.5 * 2**failures) / 2 <= slept <= min(REPORT_SECONDS, 0.5 * 2**failures)


def test_devices_that_reported_a_change_together_do_not_go_on_reporting_together() -> None:
    """Each of a thousand devices hears of an undo at 100 s, and an agent that was away for long comes back at 200 s."""
    sent = Counter[int]()
    for number in range(1000):
        due = REPORT_SECONDS * number / 1000
        while due < 130:
            before, due = due, next_due(due, due)
            sent[int(due * 10)] += 1
            assert 0.9 * REPORT_SECONDS <= due - before <= 1.1 * REPORT_SECONDS
            if before < 100 < due:
                assert next_due(due, 100) == due
        assert 200 <= next_due(due, 200) <= 200 + REPORT_SECONDS
    assert max(count for tenth, count in sent.items() if 1000 < tenth < 1250) < 3 * 1000 / (10 * REPORT_SECONDS)


async def test_an_agent_that_starts_again_with_all_others_reports_at_once_and_then_at_a_time_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.0

    class Reporting(Reporter):
        def report(self) -> Report:
            return REPORT

    times = Times(monkeypatch, reporting, rounds=0)
    monkeypatch.setattr(reporting, "random", SimpleNamespace(uniform=uniform))
    node = SimpleNamespace(changed=asyncio.Event(), record_contact=lambda: None)
    async with gateway(tmp_path, 204, {}) as (client, calls):
        with pytest.raises(asyncio.CancelledError):
            await Reporting(node, client).run()  # type: ignore[arg-type]
    assert len(calls) == len(times.slept) == 1
    assert drawn[0] == (0, REPORT_SECONDS)


async def test_a_call_after_a_time_out_is_given_more_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when all devices connect at once: whoever gives up begins anew, and makes the others wait."""
    monkeypatch.setattr(gateway_client, "ANSWER_SECONDS", 0.02)
    waits, slow = [], 3
    loop = asyncio.get_running_loop()

    async def answer(_: web.Request) -> web.Response:
        nonlocal slow
        slow -= 1
        if slow >= 0:
            await asyncio.sleep(1)
        return web.Response(status=204)

    application = web.Application()
    application.add_routes([web.post("/v1/status", answer)])
    async with TestServer(application) as server:
        (tmp_path / "token").write_text("t")
        async with GatewayClient(str(server.make_url("/")), token=tmp_path / "token", ca=tmp_path / "none") as client:
            for _ in range(3):
                began = loop.time()
                with pytest.raises(GatewayUnavailable, match="in time"):
                    await client.report(REPORT)
                waits.append(loop.time() - began)
            assert [client._patience(path) for path in (STATUS, ASSIGNMENT)] == [PATIENCE, 1]
            await client.report(REPORT)
            assert client._patience(STATUS) == 1
    assert waits[0] < waits[1] >= 0.02 * PATIENCE


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_gateway_with_much_to_do_is_waited_for_longer_than_a_machine_that_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Also for its TLS handshake: a device that gave that up would make the next one as slow."""
    monkeypatch.setattr(gateway_client, "SILENT_SECONDS", 0.05)
    monkeypatch.setattr(gateway_client, "ANSWER_SECONDS", 0.5)

    async def acknowledge(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(acknowledge) as port:
        (tmp_path / "token").write_text("t")
        async with GatewayClient(f"{scheme}://127.0.0.1:{port}", token=tmp_path / "token", ca=tmp_path / "none") as client:
            began = asyncio.get_running_loop().time()
            with pytest.raises(GatewayUnavailable, match="did not answer /v1/status in time"):
                await client.report(REPORT)
            assert asyncio.get_running_loop().time() - began >= 0.5


async def test_what_a_report_may_take_grows_with_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device with a slow network and many models would otherwise never get one through."""
    allowed: list[float | None] = []
    timeout = asyncio.timeout

    def limit(seconds: float | None) -> asyncio.Timeout:
        allowed.append(seconds)
        return timeout(seconds)

    monkeypatch.setattr(asyncio, "timeout", limit)
    async with gateway(tmp_path, 204, {}) as (client, _):
        for board in ("b", "b" * 200):
            await client.report(REPORT.model_copy(update={"board": board}))
        transport: Any = next(iter(client._session.connector._conns.values()))[0][0].transport  # type: ignore[union-attr]
        made = transport.get_extra_info("socket")
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000 * SILENT_SECONDS
    first, second = (seconds for seconds in allowed if seconds is not None and seconds > ANSWER_SECONDS)
    assert first < ANSWER_SECONDS + 0.1
    assert second - first == pytest.approx(199 / SLOWEST_BYTES_A_SECOND)


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
