"""A simulated device says what an agent would say."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.scale import simulator
from benchmarks.scale.devices import REQUESTS_A_SECOND, Client, Device, Fleet
from benchmarks.scale.simulator import Simulation
from bramble.contracts.assignment import Assignment
from bramble.contracts.report import Report
from bramble_workloads.edge import reporting
from tests.engine.running import eventually

STABLE, CANDIDATE = (f"sha256:{digit * 64}" for digit in "ab")


def assignment(seq: int, *canaries: str) -> Assignment:
    return Assignment(
        fleet="f",
        namespace="ads",
        model="m",
        rollout_uid="u",
        attempt=1,
        seq=seq,
        nodes={"b": ("pi-0", "pi-1", "pi-2")},
        stable={"b": STABLE},
        candidate={"b": CANDIDATE} if canaries else None,
        candidate_nodes=canaries,
    )


class Gateway:
    """What the simulated devices call: it keeps their reports, and answers with the present assignment."""

    def __init__(self) -> None:
        self.present = assignment(1)
        self.reports: list[Report] = []
        self.connections: set[object] = set()
        self.busy = False
        self.changed = asyncio.Event()

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes([web.post("/v1/status", self._status), web.get("/v1/assignment", self._assignment)])
        return application

    async def _status(self, request: web.Request) -> web.Response:
        self.connections.add(request.transport)
        if self.busy:
            return web.json_response({"error": "busy"}, status=503, headers={"Retry-After": "30"})
        self.reports.append(Report.model_validate_json(await request.read()))
        return web.Response(status=204)

    async def _assignment(self, request: web.Request) -> web.Response:
        while request.query.get("after") == str(self.present.seq):
            await self.changed.wait()
        return web.json_response({"etag": str(self.present.seq), "assignments": [self.present.model_dump(mode="json", by_alias=True)]})

    def assign(self, present: Assignment) -> None:
        self.present, before = present, self.changed
        self.changed = asyncio.Event()
        before.set()

    def last(self, node: str) -> Report:
        return next(report for report in reversed(self.reports) if report.node == node)


@asynccontextmanager
async def simulated(folder: Path, errors: dict[str, float]) -> AsyncIterator[tuple[Gateway, Simulation]]:
    gateway = Gateway()
    server = TestServer(gateway.application())
    await server.start_server()
    nodes = ["pi-0", "pi-1", "pi-2"]
    config: dict[str, Any] = {"fleet": "f", "board": "b", "namespace": "ads", "model": "m", "errors": errors, "nodes": nodes}
    (folder / "config.json").write_text(json.dumps({**config, "url": str(server.make_url("/"))}))
    (folder / "tokens").mkdir()
    for node in nodes:
        (folder / "tokens" / node).write_text("t")
    simulation = Simulation(folder)
    running = asyncio.ensure_future(simulation.run())
    try:
        async with asyncio.timeout(60):
            yield gateway, simulation
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        gateway.assign(assignment(99))  # answers the calls that wait
        await server.close()


async def test_devices_follow_report_and_reconnect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reporting, simulator):
        monkeypatch.setattr(module, "REPORT_SECONDS", 0.5)
    async with simulated(tmp_path, {CANDIDATE: 1.0}) as (gateway, simulation):

        async def all_serve() -> bool:
            return {report.node for report in gateway.reports if report.running} == {"pi-0", "pi-1", "pi-2"}

        await eventually(all_serve)
        assert {report.running[0].active for report in gateway.reports if report.running} == {STABLE}

        gateway.assign(assignment(2, "pi-1"))

        async def serves_the_candidate() -> bool:
            running = gateway.last("pi-1").running
            return bool(running) and (running[0].active, running[0].cohort, running[0].seq) == (CANDIDATE, "candidate", 2)

        await eventually(serves_the_candidate)
        heard = simulation.state()["heard"]
        assert (heard["1"][0], heard["2"][0]) == (3, 3)
        assert heard["2"][1] <= heard["2"][2]

        before = len(gateway.connections)
        (tmp_path / "orders").write_text("reconnect\n")

        async def all_again() -> bool:
            state = simulation.state()
            return state["orders"] == 1 and state["allAgain"] is not None

        await eventually(all_again)
        assert len(gateway.connections) >= before + 3
        counted = {each.package: each for each in gateway.last("pi-1").counters}
        assert counted[CANDIDATE].count("errors") == counted[CANDIDATE].count("requests") > 0
        assert counted[STABLE].count("errors") == 0
        sequences = [report.sequence for report in gateway.reports if report.node == "pi-1"]
        assert sequences == sorted(set(sequences)), "a report with an old number is dropped by the gateway"
        assert json.loads((tmp_path / "state.json").read_text())["devices"] == 3


async def test_calls_before_the_end_of_a_retry_after_are_counted(tmp_path: Path) -> None:
    async with simulated(tmp_path, {}) as (gateway, simulation):

        async def all_report() -> bool:
            return bool(simulation.state()["online"] == 3)

        await eventually(all_report)
        gateway.busy = True
        client = Client(simulation.fleet, tmp_path / "tokens" / "pi-0", lambda: None)
        report = gateway.last("pi-0")
        async with client:
            for _ in range(2):
                await asyncio.gather(client.report(report), return_exceptions=True)
        assert simulation.fleet.figures.early == 1
        assert simulation.fleet.figures.turned_away >= 2


async def test_a_device_never_goes_back(tmp_path: Path) -> None:
    fleet = Fleet("http://127.0.0.1:9", tmp_path, ssl.create_default_context(), "f", "b", "ads", "m", {})
    device = Device("pi-0", tmp_path, fleet)
    assert await device.apply([assignment(2, "pi-0")])
    assert not await device.apply([assignment(1)])
    assert (device.active, device.cohort) == (CANDIDATE, "candidate")
    assert REQUESTS_A_SECOND > 0
