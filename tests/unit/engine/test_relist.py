"""The full list of what users wrote, whatever they wrote."""

from __future__ import annotations

import asyncio

from aiohttp import web

from bramble.engine.cache import Cache
from bramble.engine.changes import Changes
from bramble.engine.metrics import Metrics
from bramble.engine.queue import WorkQueue
from bramble.engine.relist import Relist, WatchProgress
from bramble.kinds.controller import Controller
from bramble.kinds.plan import NOTHING
from bramble.kube.resources import DATASET, Key, Manifest
from tests.engine.running import reading_deep
from tests.unit.kube.test_client import served


async def nothing(*_: object) -> None:
    return None


def too_deep(_: Manifest) -> tuple[Key, ...]:
    raise RecursionError


async def test_one_users_nested_object_takes_nobodys_list_away() -> None:
    """The API server takes objects of nearly 10,000 levels; in Python a list that holds one is beyond the usual limit as a whole."""
    version = 1

    async def answer(_: web.Request) -> web.Response:
        metadata = f'"namespace":"ads","resourceVersion":"{version}","creationTimestamp":"2026-01-01T00:00:00Z"'
        nested = '{"x":' * 9_990 + "1" + "}" * 9_990
        items = [f'{{"metadata":{{"name":"{name}","uid":"{name}",{metadata}}},"spec":{nested if name == "b" else "{}"}}}' for name in "abc"]
        text = f'{{"items":[{",".join(items)}],"metadata":{{"resourceVersion":"7"}}}}'
        return web.Response(text=text, content_type="application/json")

    changes = Changes(
        Cache(), queue := WorkQueue(), {"Dataset": Controller(DATASET, nothing, lambda *_: NOTHING, too_deep, wakes=too_deep)}
    )
    with reading_deep():
        async with served(answer) as client:
            relist = Relist(client, changes, Metrics(), (DATASET,), WatchProgress())
            async with asyncio.timeout(10):
                await relist.fill()
                assert queue.depth == 3, "each has a pass of its own, which may tell what is wrong"
                queue.clear()
                version = 2
                await relist.compare()
    assert queue.depth == 0, "nothing but the version differs"
