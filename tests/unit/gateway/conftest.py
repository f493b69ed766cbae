"""A replica on loopback, with a real S3 server behind it and an API server that is a fake."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bramble.contracts.store import StoreConfig
from bramble.gateway.server import PARSING, Gateway
from bramble.kube.client import Client
from bramble.kube.store import store_session
from bramble.objectstore.addresses import Addresses
from bramble_workloads.store import Store
from tests.unit.gateway.fakes import JOB_POD, OPERATOR, SETTINGS, FakeApi, agent_of, put_job, store_secret
from tests.unit.workloads import s3

LOOPBACK = Addresses((ip_network("127.0.0.0/8"),), FakeApi().server)
"""The stores of the tests are on this machine."""

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreConfig]:
    with s3.server(tmp_path_factory.mktemp("s3-gateway")) as config:
        yield config


@dataclass(frozen=True)
class Replica:
    gateway: Gateway
    api: FakeApi
    store: Store
    """Of namespace ads."""
    client: TestClient[web.Request, web.Application]

    async def call(self, method: str, path: str, token: str | None = None, **options: Any) -> aiohttp.ClientResponse:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        return await self.client.request(method, path, headers=headers, **options)


@pytest.fixture
async def replica(s3_server: StoreConfig) -> AsyncIterator[Replica]:
    config = s3_server._replace(prefix=f"gateway-{next(_numbers)}/")
    api = FakeApi(tokens={"pi-0": agent_of("pi-0"), "pi-1": agent_of("pi-1"), "operator": OPERATOR, "job": JOB_POD})
    values = {"endpoint": config.endpoint, "bucket": config.bucket, "accessKey": config.access_key, "secretKey": config.secret_key}
    api.put(store_secret("ads", **values, prefix=config.prefix))
    put_job(api)
    async with store_session(LOOPBACK) as session:
        gateway = Gateway.of(cast(Client, api), SETTINGS, LOOPBACK, session)
        server = TestServer(gateway.application())
        await server.start_server(**PARSING)
        async with TestClient(server) as client:
            yield Replica(gateway, api, Store(config), client)


async def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Lets the loop run until this holds."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)
