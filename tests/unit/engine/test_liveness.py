"""What ends a process that no longer does its work, and what must not."""

from __future__ import annotations

import asyncio

import pytest

from bramble.engine import liveness as module
from bramble.engine.cache import Cache
from bramble.engine.changes import Changes
from bramble.engine.liveness import Liveness
from bramble.engine.metrics import Metrics
from bramble.engine.queue import WorkQueue
from bramble.engine.relist import Relist, WatchProgress
from bramble.kube.resources import DATASET, Key
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import Time

SILENCE = 1260.0
KEY = Key("Dataset", "ads", "a")


class World:
    def __init__(self) -> None:
        self.time, self.api = Time(), FakeApi()
        self.queue = WorkQueue(clock=self.time)
        self.changes = Changes(Cache(), self.queue, {})
        self.watches = WatchProgress(self.time)
        self.relist = Relist(self.api, self.changes, Metrics(), (DATASET,), self.watches, clock=self.time)
        self.leads = True
        self.liveness = Liveness(self.queue, self.relist, self.watches, lambda: self.leads, SILENCE)

    def change(self, x: int) -> dict[str, object]:
        return self.api.put(made("Dataset", "a", spec={"x": x}))

    def told(self) -> str:
        return "; ".join(self.liveness.problems())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(module, "boottime", world.time)
    return world


async def test_all_is_well(world: World) -> None:
    await world.relist.compare()
    assert world.told() == ""


async def test_a_list_that_is_a_little_ahead_of_the_watch_is_no_fault(world: World) -> None:
    """It always may be."""
    await world.relist.compare()
    for number in range(5):
        changed = world.change(number)
        await world.relist.compare()
        world.watches.delivered(changed)
    assert world.relist.behind["Dataset"] == 0


async def test_a_watch_that_never_tells_what_lists_find_is_dead(world: World) -> None:
    await world.relist.compare()
    for number in range(3):
        world.change(number)
        await world.relist.compare()
    assert "the watch of Dataset has been behind for 2 full lists" in world.told()


async def test_what_the_first_list_finds_is_the_state_that_watches_begin_from(world: World) -> None:
    world.change(1)
    await world.relist.compare()
    await world.relist.compare()
    assert world.relist.behind["Dataset"] == 0


async def test_silence_of_watches_and_lists_together_is_deafness(world: World) -> None:
    await world.relist.compare()
    world.time.now += SILENCE + 1
    assert "no watch has delivered anything for 1261 s, and no full list has been compared for 1261 s" in world.told()
    await world.relist.compare()
    assert world.told() == "", "a list that goes through is enough: there may be nothing to tell"


async def test_an_object_that_waits_too_long_counts_on_the_leader_alone(world: World) -> None:
    world.queue.add(KEY)
    world.time.now += 301
    assert "an object has waited 301 s for a pass" in world.told()
    world.leads = False
    assert world.told() == ""


async def test_a_pass_that_does_not_end(world: World) -> None:
    world.queue.add(KEY)
    await asyncio.wait_for(world.queue.get(), 10)
    world.time.now += 301
    assert "a pass has been running for 301 s" in world.told()


async def test_an_end_that_no_watch_told_is_found(world: World) -> None:
    world.change(1)
    await world.relist.compare()
    world.api.objects.clear()
    await world.relist.compare()
    assert world.changes.cache.count("Dataset") == 0


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [pytest.param(SILENCE, "", id="for exactly as long as allowed"), pytest.param(SILENCE + 0.5, "no watch", id="for a moment longer")],
)
async def test_watches_and_lists_may_both_be_silent_for_a_while(world: World, seconds: float, expected: str) -> None:
    await world.relist.compare()
    world.time.now += seconds
    assert world.told().startswith(expected)
    assert bool(world.told()) is bool(expected)


async def test_a_watch_that_delivers_is_enough(world: World) -> None:
    await world.relist.compare()
    world.time.now += SILENCE + 1
    world.watches.delivered(world.change(1))
    assert world.told() == ""


async def test_before_the_first_list_silence_is_no_fault(world: World) -> None:
    """The API server may take longer to come up than this process."""
    world.time.now += 10 * SILENCE
    assert world.told() == ""


@pytest.mark.parametrize(("seconds", "expected"), [(300.0, False), (300.5, True)])
async def test_a_key_may_wait_five_minutes_and_a_pass_run_as_long(world: World, seconds: float, expected: bool) -> None:
    world.queue.add(KEY)
    world.time.now += seconds
    assert ("waited" in world.told()) is expected
    await asyncio.wait_for(world.queue.get(), 10)
    world.time.now += seconds
    assert ("running" in world.told()) is expected


async def test_one_list_that_finds_a_watch_behind_is_not_enough(world: World) -> None:
    await world.relist.compare()
    for number in range(2):
        world.change(number)
        await world.relist.compare()
    assert world.relist.behind["Dataset"] == 1
    assert world.told() == ""
