"""The full list of what users wrote, whatever they wrote."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from aiohttp import web

from bramble.engine import relist as module
from bramble.engine.cache import Cache
from bramble.engine.changes import Changes
from bramble.engine.metrics import Metrics
from bramble.engine.queue import WorkQueue
from bramble.engine.relist import Relist, WatchProgress
from bramble.errors import ApiUnavailable
from bramble.kinds.controller import Controller
from bramble.kinds.plan import NOTHING
from bramble.kube.resources import DATASET, JOB, Key, Manifest
from tests.engine.running import reading_deep
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import Time
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


KEY = Key("Dataset", "ads", "a")


class World:
    """A cache, a model of the API server, and a relist of Datasets and Jobs."""

    def __init__(self) -> None:
        self.api, self.time, self.metrics = FakeApi(), Time(), Metrics()
        self.changes = Changes(Cache(), WorkQueue(), {})
        self.watches = WatchProgress(self.time)
        self.relist = Relist(self.api, self.changes, self.metrics, (DATASET, JOB), self.watches, clock=self.time)

    def missed(self) -> float | None:
        return self.metrics.registry.get_sample_value("bramble_missed_changes_total", {"kind": "Dataset"})


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("ahead", "kept"),
    [
        pytest.param(0, False, id="the list is of the object's own version: it was deleted"),
        pytest.param(1, True, id="the object is newer than the list: it was created after the list was taken"),
    ],
)
async def test_an_object_that_a_list_lacks_is_deleted_unless_it_is_newer_than_the_list(world: World, ahead: int, kept: bool) -> None:
    listing = await world.api.list(DATASET)
    version = listing.resource_version + 1  # the next list's
    world.changes.updated(made("Dataset", "a", version + ahead))
    await world.relist.compare()
    assert (world.changes.cache.get(KEY) is not None) is kept


async def test_an_object_of_the_same_name_and_another_uid_is_another_object(world: World) -> None:
    world.changes.updated(world.api.put(made("Dataset", "a", uid="old")))
    world.api.put(made("Dataset", "a", uid="new"))
    await world.relist.compare()
    found = world.changes.cache.get(KEY)
    assert found is not None
    assert found["metadata"]["uid"] == "new"


async def test_what_a_list_finds_counts_as_missed_from_the_second_on(world: World) -> None:
    """What the first list finds is where the watches begin."""
    world.api.put(made("Dataset", "a"))
    filled_before = world.relist.filled
    await world.relist.compare()
    assert (filled_before, world.relist.filled) == (False, True)
    assert world.missed() is None
    world.api.put(made("Dataset", "b"))
    del world.api.objects[KEY]
    await world.relist.compare()
    assert world.missed() == 2, "one change and one deletion"


async def test_the_time_of_a_comparison_is_when_all_kinds_were_compared(world: World) -> None:
    lists = world.api.list

    async def list_jobs_later(*args: Any, **options: Any) -> Any:
        if args[0] == JOB and world.time.now < 100:
            raise ApiUnavailable("away")
        return await lists(*args, **options)

    world.api.list = list_jobs_later  # type: ignore[method-assign]
    world.time.now = 50
    with pytest.raises(ApiUnavailable):
        await world.relist.compare()
    assert (world.relist.filled, world.relist.last) == (False, 0)
    world.time.now = 100
    await world.relist.compare()
    assert (world.relist.filled, world.relist.last) == (True, 100)


async def test_the_first_lists_are_tried_until_the_api_server_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lists, tries = world.api.list, list[float]()

    async def list_at_the_third_try(*args: Any, **options: Any) -> Any:
        if len(tries) < 2:
            raise ApiUnavailable("away")
        return await lists(*args, **options)

    async def sleep(seconds: float) -> None:
        tries.append(seconds)

    world.api.list = list_at_the_third_try  # type: ignore[method-assign]
    monkeypatch.setattr(asyncio, "sleep", sleep)
    await world.relist.fill()
    assert tries == [1.0, 1.0]
    assert world.relist.filled


async def test_deletions_are_forgotten_up_to_the_oldest_of_the_lists(world: World) -> None:
    world.api.put(made("Dataset", "a"))
    await world.relist.compare()
    datasets = (await world.api.list(DATASET)).resource_version + 1  # the version of the next list of Datasets; that of Jobs is one higher
    for name, version in (("before", datasets - 1), ("at", datasets), ("after", datasets + 1)):
        world.changes.deleted(made("Dataset", name, version))
    await world.relist.compare()
    assert world.changes.cache._deleted_at == {"uid-at": datasets, "uid-after": datasets + 1}


@pytest.mark.parametrize(
    ("delivered", "behind"),
    [
        pytest.param(0, 0, id="it has delivered exactly what the list found"),
        pytest.param(5, 0, id="it has delivered more"),
        pytest.param(-1, 1, id="it has delivered less"),
    ],
)
async def test_a_watch_is_behind_if_it_has_not_delivered_what_the_list_before_found(world: World, delivered: int, behind: int) -> None:
    await world.relist.compare()
    changed = world.api.put(made("Dataset", "a"))
    await world.relist.compare()
    version = int(changed["metadata"]["resourceVersion"]) + delivered
    world.watches.delivered(made("Dataset", "a", version))
    world.watches.delivered(made("Dataset", "a", 1))
    await world.relist.compare()
    assert world.relist.behind["Dataset"] == behind
    assert world.watches.reached("Dataset") == version, "an older event takes nothing back"


async def test_a_watch_that_caught_up_is_no_longer_behind(world: World) -> None:
    await world.relist.compare()
    changed = world.api.put(made("Dataset", "a"))
    await world.relist.compare()
    await world.relist.compare()
    assert world.relist.behind["Dataset"] == 1
    world.api.put(made("Dataset", "b"))
    await world.relist.compare()
    world.watches.delivered({**changed, "metadata": {**changed["metadata"], "resourceVersion": "1000"}})
    await world.relist.compare()
    assert world.relist.behind["Dataset"] == 0


async def test_a_request_is_followed_by_one_comparison_and_then_the_interval_counts_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REQUEST_DELAY", 0.01)
    compared = 0

    async def compare() -> None:
        nonlocal compared
        compared += 1
        if compared == 1:
            raise ApiUnavailable("away: the next interval tries again")

    monkeypatch.setattr(world.relist, "compare", compare)
    world.relist.request()
    world.relist.request()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await world.relist.run(seconds=30)
    assert compared == 1
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await world.relist.run(seconds=0.01)
    assert compared > 1
