"""An engine in this process, on the test's API server."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from bramble.__main__ import read_deep
from bramble.engine.engine import Engine
from bramble.handlers.watching import watch
from bramble.kinds.controller import Controller
from bramble.kube.client import Client
from bramble.kube.config import from_kubeconfig
from bramble.kube.resources import Resource
from bramble.settings import Settings
from tools.cluster.kubectl import Kubectl
from tools.cluster.waiting import until

SETTINGS = Settings(
    namespace="bramble-engine",
    images_train="bramble.local/train@sha256:1",
    images_convert="bramble.local/convert@sha256:2",
    images_edge="bramble.local/edge@sha256:3",
    gateway_url="https://bramble-gateway.bramble-engine.svc:8443",
    http_port=0,
    status_seconds=1,
    store_networks=(ip_network("127.0.0.0/8"),),
)
ENDING_SECONDS = 60.0
"""Longer than the engine gives its watches."""


def client(cluster: Kubectl) -> Client:
    """For tests to read and write by; `async with` opens it."""
    return Client(from_kubeconfig(Path(cluster.env["KUBECONFIG"]), cluster.context))


@asynccontextmanager
async def running(cluster: Kubectl, controllers: Iterable[Controller[Any]], **settings: Any) -> AsyncIterator[Engine]:
    """The engine with these kinds, until the block ends; its failure is the test's."""
    stop = asyncio.Event()
    async with client(cluster) as api:
        engine = Engine(api, replace(SETTINGS, **settings), controllers)
        deliver = partial(watch, config=api.config, claim_signals=lambda: None)
        task = asyncio.create_task(engine.run(stop, deliver))
        try:
            yield engine
        finally:
            stop.set()
            await asyncio.wait([task], timeout=ENDING_SECONDS)
            assert task.done(), "\n".join(f"{each!r} {each.get_stack()}" for each in asyncio.all_tasks())
            await task


@contextmanager
def reading_deep() -> Iterator[None]:
    """This process reads objects as deep as a service of Bramble's, until the block ends."""
    limit = sys.getrecursionlimit()
    read_deep()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(0)


def nested(levels: int) -> dict[str, Any]:
    """An object so deep."""
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"x": value}
    return value


async def eventually(condition: Any, seconds: float = 20.0) -> Any:
    """The first true answer of a coroutine function, asked until the time is over."""
    last: Any = None

    async def reached() -> bool:
        nonlocal last
        last = await condition()
        return bool(last)

    await until(reached, seconds, lambda: f"last answer: {last!r}")
    return last


async def says(api: Client, resource: Resource, namespace: str, name: str, reason: str, type_: str = "Ready", part: str = "") -> str:
    """The message of a condition once it has this reason, and this part of its message."""

    async def found() -> dict[str, Any] | None:
        manifest = await api.get(resource, namespace, name) or {}
        conditions = (manifest.get("status") or {}).get("conditions", ())
        return next((each for each in conditions if (each["type"], each["reason"]) == (type_, reason) and part in each["message"]), None)

    return str((await eventually(found, 40))["message"])


async def until_gone(api: Client, resource: Resource, namespace: str, name: str) -> None:
    """Until there is no such object any more."""

    async def gone() -> bool:
        return await api.get(resource, namespace, name) is None

    await eventually(gone)
