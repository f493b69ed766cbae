"""Objects of other namespaces are planned while the passes of some wait for stores that hang."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from bramble.contracts.store import LARGEST_DOCUMENT
from bramble.engine.document_memory import DocumentMemory
from bramble.engine.faults import Faults
from bramble.engine.places import Place, Places
from bramble.engine.store import Stores
from bramble.kinds.controller import Controller
from bramble.kinds.plan import Plan
from bramble.kinds.sources import Sources
from bramble.kube.resources import DATASET, Key, Manifest
from tests.engine.running import eventually
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import Replica, Time
from tests.unit.engine.test_store import BAD, LOOPBACK, drip, put_secret, serving
from tests.unit.listening import listening

OBJECTS = 5
"""Of each namespace."""


class Leading:
    """A Lease that is always held."""

    def __init__(self) -> None:
        self.leading = asyncio.Event()
        self.leading.set()


@pytest.mark.parametrize("places", [1, 8])
async def test_passes_that_wait_for_a_store_leave_their_places_to_others(places: int) -> None:
    """More objects than places wait for stores that drip; those of the good namespace are planned meanwhile, and after it."""
    api, planned = FakeApi(), list[Key]()

    async def gather(key: Key, sources: Sources) -> Manifest | None:
        await sources.fetch(key.namespace, "key", LARGEST_DOCUMENT)
        return await sources.get(DATASET, key.namespace, key.name)

    def plan(seen: Manifest, _: datetime) -> Plan:
        planned.append(Key(DATASET.kind, seen["metadata"]["namespace"], seen["metadata"]["name"]))
        return Plan()

    free = Places(places)
    stores = Stores(api, LOOPBACK, DocumentMemory())
    async with listening(drip) as slow, serving() as good, asyncio.timeout(60):
        for namespace in [f"slow-{number}" for number in range(BAD)]:
            put_secret(api, namespace, f"http://127.0.0.1:{slow}")
        put_secret(api, "good", good)
        for namespace in [*(f"slow-{number}" for number in range(BAD)), "good"]:
            for number in range(OBJECTS):
                manifest = made("Dataset", f"{number}", spec={})
                api.put({**manifest, "metadata": {**manifest["metadata"], "namespace": namespace, "uid": f"{namespace}-{number}"}})
        controller = Controller(DATASET, gather, plan, lambda _: (), frozenset())
        replica = Replica(api, stores, (controller,), Faults(), Time())  # type: ignore[arg-type]
        await replica.relist.compare()
        work = asyncio.ensure_future(replica.reconciler.work(Leading(), free))  # type: ignore[arg-type]

        async def good_ones_are_planned() -> bool:
            return len(planned) == OBJECTS

        async with asyncio.timeout(10):
            await eventually(good_ones_are_planned)
        assert {key.namespace for key in planned} == {"good"}
        assert replica.queue.longest_pass() == 0.0, "the clock of the test stands"
        work.cancel()
        await asyncio.wait([work])
    await stores.close()


async def is_away_for(place: Place, seconds: float) -> None:
    async with place.left():
        await asyncio.sleep(seconds)


async def left_to_another() -> tuple[Places, Place, asyncio.Future[None], Place]:
    """One place in all, which a pass has left for a call, and another pass has taken."""
    places = Places(1)
    place = await places.take()
    call = asyncio.ensure_future(is_away_for(place, 0.01))
    await asyncio.sleep(0)
    return places, place, call, await places.take()


async def test_a_pass_that_ends_while_it_waits_to_come_back_gives_no_place_back_that_it_lacks() -> None:
    places, place, waits, other = await left_to_another()
    await asyncio.wait([waits], timeout=0.1)
    waits.cancel()
    await asyncio.wait([waits])
    assert not place.held
    place.end()
    assert places._free.locked(), "the other pass has the only place"
    other.end()
    assert places._free._value == 1


async def test_a_pass_gives_its_place_back_once_for_several_calls_at_the_same_time() -> None:
    places = Places(2)
    place = await places.take()
    calls = [asyncio.ensure_future(is_away_for(place, seconds)) for seconds in (0.01, 0.02, 0.03)]
    await asyncio.sleep(0)
    assert (places._free._value, place.held) == (2, False)
    await asyncio.gather(*calls)
    assert (places._free._value, place.held) == (1, True)
    place.end()
    assert places._free._value == 2


async def test_calls_that_outlast_their_pass_or_begin_while_it_comes_back_take_one_place_at_most() -> None:
    places = Places(1)
    place = await places.take()
    late = asyncio.ensure_future(is_away_for(place, 0.01))
    await asyncio.sleep(0)
    place.end()
    await late
    assert places._free._value == 1
    place = await places.take()
    calls = [asyncio.ensure_future(is_away_for(place, 0.01))]
    await asyncio.sleep(0)
    other = await places.take()
    await asyncio.wait(calls, timeout=0.05)  # the first call is over, and waits for a place
    calls.append(asyncio.ensure_future(is_away_for(place, 0.01)))
    await asyncio.wait(calls, timeout=0.05)
    other.end()
    await asyncio.gather(*calls)
    assert (place.held, places._free._value) == (True, 0)
    place.end()
    assert places._free._value == 1


async def test_a_call_that_outlasts_its_pass_waits_for_no_place() -> None:
    places, place, late, other = await left_to_another()
    place.end()
    async with asyncio.timeout(5):
        await late
    assert places._free.locked(), "the other pass has the only place"
    other.end()
    assert places._free._value == 1
