"""One replica from its start to its end: what it serves, what it writes and what it gives back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bramble.boottime import boottime
from bramble.engine import engine as module
from bramble.engine.engine import Engine
from bramble.engine.lease import NAME
from bramble.errors import ApiUnavailable
from bramble.kinds.registry import CONTROLLERS
from bramble.kube.resources import DATASET, LEASE
from tests.engine.running import eventually
from tests.ports import free_port
from tests.unit.dataset.observed import SPEC
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import SETTINGS


class Life:
    """A replica that runs, and what one asks it."""

    def __init__(self, api: FakeApi, **settings: Any) -> None:
        self.api = api
        self.settings = replace(SETTINGS, pod_name="replica-1", http_port=free_port(), observe_seconds=0.05, **settings)
        self.engine = Engine(api, self.settings, CONTROLLERS)
        self.stop = asyncio.Event()
        self.watching = asyncio.Event()

    async def watch(self, engine: Engine, stop: asyncio.Event) -> None:
        assert engine is self.engine
        self.watching.set()
        await stop.wait()

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer; 0 where nothing listens."""
        url = f"http://127.0.0.1:{self.settings.http_port}{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return response.status, await response.text()
        except aiohttp.ClientConnectorError:
            return 0, ""

    def lease(self) -> dict[str, Any]:
        """The spec of the operator's Lease; empty while there is none."""
        found = next((each for each in self.api.of_kind(LEASE.kind) if each["metadata"]["name"] == NAME), None)
        return dict(found["spec"]) if found is not None else {}

    def ready(self, name: str) -> str | None:
        """The reason of the Ready condition of a Dataset."""
        status = next(each for each in self.api.of_kind(DATASET.kind) if each["metadata"]["name"] == name).get("status", {})
        return next((str(each["reason"]) for each in status.get("conditions", ()) if each["type"] == "Ready"), None)


@asynccontextmanager
async def living(api: FakeApi, **settings: Any) -> AsyncIterator[Life]:
    """A replica that leads, until the block ends."""
    life = Life(api, **settings)
    running = asyncio.create_task(life.engine.run(life.stop, life.watch))
    try:
        async with asyncio.timeout(20):
            await life.watching.wait()
            await life.engine._lease.leading.wait()
        yield life
    finally:
        life.stop.set()
        async with asyncio.timeout(20):
            await running


async def test_a_replica_leads_plans_and_gives_the_lease_up(tmp_path: Path) -> None:
    api, sites = FakeApi(), tmp_path / "sites"
    api.put(made("Dataset", "before", spec=SPEC))
    async with living(api, fault_log=str(sites)) as life:
        assert (life.lease()["holderIdentity"], life.lease()["leaseDurationSeconds"]) == ("replica-1", SETTINGS.lease_seconds)
        assert [each["metadata"]["namespace"] for each in api.of_kind(LEASE.kind)] == [SETTINGS.namespace]
        life.engine.deliver("ADDED", api.put(made("Dataset", "watched", spec=SPEC)))
        await eventually(lambda: have_reason(life, "StoreMissing", "before", "watched"))
        assert "passed after:Dataset/" in sites.read_text()
        assert await life.get("/healthz") == (HTTPStatus.OK, "ok")
        assert await life.get("/readyz") == (HTTPStatus.OK, "ok")
        _, metrics = await life.get("/metrics")
        assert {"bramble_leader 1.0", 'bramble_cache_objects{kind="Dataset"} 2.0', 'bramble_cache_objects{kind="Fleet"} 0.0'} <= set(
            metrics.splitlines()
        )
    assert (life.lease()["holderIdentity"], life.lease()["leaseDurationSeconds"]) == ("", 1)
    assert (await life.get("/healthz"))[0] == 0


async def have_reason(life: Life, reason: str, *names: str) -> bool:
    return all(life.ready(name) == reason for name in names)


@pytest.mark.parametrize(
    ("silent", "status"),
    [
        pytest.param(-5, HTTPStatus.OK, id="not yet for too long"),
        pytest.param(5, HTTPStatus.INTERNAL_SERVER_ERROR, id="for longer than two full lists and a minute take"),
    ],
)
async def test_silence_of_watches_and_lists_fails_the_probe(silent: float, status: HTTPStatus) -> None:
    async with living(FakeApi(), relist_seconds=600) as life:
        life.engine._watches.last = life.engine._relist.last = boottime() - (2 * 600 + 60) - silent
        assert (await life.get("/healthz"))[0] == status
        life.engine._watches.last = boottime()
        assert (await life.get("/healthz"))[0] == HTTPStatus.OK


async def test_an_object_that_waits_too_long_fails_the_probe_of_the_leader() -> None:
    async with living(FakeApi()) as life:
        life.engine._queue.oldest = lambda: 301.0  # type: ignore[method-assign]
        assert await life.get("/healthz") == (HTTPStatus.INTERNAL_SERVER_ERROR, "an object has waited 301 s for a pass")


class Silent(FakeApi):
    """An API server that answers no call about Leases after the first."""

    mute = False

    async def get(self, resource: Any, namespace: str, name: str) -> Any:
        if self.mute and resource is LEASE:
            raise ApiUnavailable("away")
        return await super().get(resource, namespace, name)


async def test_a_lease_that_cannot_be_released_does_not_keep_the_process(caplog: pytest.LogCaptureFixture) -> None:
    api = Silent()
    async with living(api):
        api.mute = True
    assert "the lease could not be released: away" in caplog.text


async def test_a_part_that_fails_ends_the_replica() -> None:
    life = Life(FakeApi())

    async def broken(*_: Any) -> None:
        raise RuntimeError("the watch broke")

    async with asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="the watch broke"):
            await life.engine.run(life.stop, broken)
    assert (await life.get("/healthz"))[0] == 0
    assert life.stop.is_set()


async def test_a_kind_that_is_not_served_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life(FakeApi())
    asked: list[float] = []

    async def wait(*_: Any) -> None:
        asked.append(boottime())
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "wait_for_kinds", wait)
    running = asyncio.create_task(life.engine.run(life.stop, life.watch))
    await eventually(lambda: answers(life, "/readyz", HTTPStatus.SERVICE_UNAVAILABLE))
    assert asked
    assert not life.watching.is_set()
    life.stop.set()
    async with asyncio.timeout(20):
        await running


async def answers(life: Life, path: str, status: int) -> bool:
    return (await life.get(path))[0] == status


async def test_a_task_that_does_not_end_is_named_and_left(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "CANCEL_SECONDS", 0.01)
    cancelled, release = [], asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                cancelled.append(1)

    async def fails() -> None:
        try:
            await release.wait()
        except asyncio.CancelledError:
            raise RuntimeError("while ending") from None

    tasks = [asyncio.ensure_future(stubborn()), asyncio.ensure_future(fails()), asyncio.ensure_future(release.wait())]
    await asyncio.sleep(0)
    await module.cancel(tasks)
    assert len(cancelled) == module.CANCEL_ROUNDS
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "a task does not end after being cancelled",
        "a task failed while the operator was stopping",
    ]
    assert "RuntimeError: while ending" in caplog.text
    assert tasks[2].cancelled()
    release.set()
    await tasks[0]
