"""Fixtures for tests of the agent: a fake gateway, an agent process, and packages to publish."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from bramble.contracts.package import Package
from tests.unit.workloads.edge.agent_process import Agent
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.edge.http_site import Site
from tests.unit.workloads.models import build_package, digits_graph

Publish = Callable[..., str]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """The event loop of the agent."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A fake gateway that is listening."""
    fake = FakeGateway()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def agent(gateway: FakeGateway, tmp_path: Path) -> AsyncIterator[Agent]:
    """An agent that is not started yet. It is killed after the test."""
    made = Agent(gateway, tmp_path)
    yield made
    if made.process is not None and made.process.returncode is None:
        await made.kill()


@pytest.fixture
def publish(gateway: FakeGateway) -> Publish:
    """A function that builds a package, adds its blobs to the fake gateway and returns the package's digest."""

    def make(version: str = "1.0.0", graph: bytes | None = None, **changes: object) -> str:
        package: Package
        package, blobs = build_package(graph or digits_graph(1.0 + int(version.split(".", maxsplit=1)[0]) / 100), version, **changes)  # type: ignore[arg-type]
        return gateway.add(package, blobs)

    return make


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A server of the device's HTTP code, for tests with bare sockets."""
    made = Site()
    await made.server.listen("127.0.0.1", made.port)
    yield made
    await made.end()
