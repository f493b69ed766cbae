"""Our kinds on the API server, and a namespace a test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engine.running import SETTINGS
from tools.cluster import Cluster
from tools.cluster.providers.base import AnyCluster
from tools.cluster.waiting import until

CLOSING_SECONDS = 30.0


@pytest.fixture(scope="session")
def server(served_kinds: AnyCluster) -> AnyCluster:
    """An API server that serves our kinds, with the operator's namespace."""
    served_kinds.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SETTINGS.namespace}})
    return served_kinds


@pytest.fixture
def local(server: AnyCluster) -> Cluster:
    """The same, where its store and its audit log are at hand."""
    if not isinstance(server, Cluster):
        pytest.skip("needs the local cluster's own store and audit log")
    return server


@pytest.fixture
def namespace(server: AnyCluster) -> str:
    """Fresh; without controllers it is never emptied, so its name is not used again."""
    name = f"engine-{secrets.token_hex(3)}"
    server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


@pytest.fixture(autouse=True)
async def closed_sockets() -> AsyncIterator[None]:
    """Keep the event loop of a test open until its connections are closed.

    The end of a TLS connection waits for the answer of the API server, and neither aiohttp nor kopf waits for that end where a watch was
    cancelled. A connection that the loop's own end cuts off would fail a later test, in which Python collects it.
    """
    before = open_sockets()
    yield
    await until(lambda: open_sockets() <= before, CLOSING_SECONDS, lambda: f"still open: {open_sockets() - before}")


def open_sockets() -> set[str]:
    """The sockets of this process, such as `socket:[4026]`."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}
