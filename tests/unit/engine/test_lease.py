"""One leader at a time, judged on the replica's own clock."""

from __future__ import annotations

import pytest

from bramble.engine.lease import Holder, Lease
from bramble.errors import Conflict, NotLeader
from bramble.kube.resources import LEASE
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import Time

SECONDS = 10


class World:
    def __init__(self) -> None:
        self.time, self.api = Time(), FakeApi()
        self.turns: list[tuple[str, bool]] = []

    def replica(self, name: str) -> Lease:
        holder = Holder("bramble-system", name, SECONDS)
        return Lease(self.api, holder, lambda leads: self.turns.append((name, leads)), clock=self.time)

    def spec(self) -> dict[str, object]:
        (lease,) = self.api.of_kind("Lease")
        return dict(lease["spec"])


@pytest.fixture
def world() -> World:
    return World()


def leads(lease: Lease) -> bool:
    try:
        lease.check()
    except NotLeader:
        return False
    return True


async def test_the_first_takes_it_and_the_second_waits(world: World) -> None:
    one, two = world.replica("one"), world.replica("two")
    await one.step()
    await two.step()
    assert (leads(one), leads(two)) == (True, False)
    assert one.leading.is_set()
    assert not two.leading.is_set()


async def test_a_leader_that_renews_keeps_it(world: World) -> None:
    one, two = world.replica("one"), world.replica("two")
    for _ in range(20):
        await one.step()
        await two.step()
        world.time.now += SECONDS / 4
    assert (leads(one), leads(two)) == (True, False)
    assert world.turns == [("one", True)]


async def test_a_leader_that_fell_silent_is_followed_once_its_lease_is_over(world: World) -> None:
    one, two = world.replica("one"), world.replica("two")
    await one.step()
    await two.step()
    world.time.now += SECONDS - 0.1
    await two.step()
    assert not leads(two)
    world.time.now += 0.2
    await two.step()
    assert leads(two)
    assert world.spec()["leaseTransitions"] == 1


async def test_the_old_leader_stops_before_the_next_may_begin(world: World) -> None:
    one = world.replica("one")
    await one.step()
    world.time.now += SECONDS * 0.8
    assert not leads(one), "it must be sure: its own deadline comes before the Lease's end"


async def test_a_lease_is_judged_by_when_it_was_seen_to_change_not_by_what_it_says(world: World) -> None:
    """Another replica's wall clock may be hours off."""
    one, two = world.replica("one"), world.replica("two")
    await one.step()
    (lease,) = world.api.of_kind("Lease")
    world.api.put({**lease, "spec": {**lease["spec"], "renewTime": "2001-01-01T00:00:00.000000Z"}})
    await two.step()
    assert not leads(two)


async def test_a_stalled_leader_that_wakes_cannot_write_and_does_not_take_it_back(world: World) -> None:
    one, two = world.replica("one"), world.replica("two")
    await one.step()
    await two.step()
    world.time.now += SECONDS + 1
    await two.step()
    assert not leads(one)
    await one.step()
    assert (leads(one), leads(two)) == (False, True)
    assert world.turns == [("one", True), ("two", True), ("one", False)]


async def test_a_lease_that_was_given_up_is_taken_at_once(world: World) -> None:
    one, two = world.replica("one"), world.replica("two")
    await one.step()
    await two.step()
    await one.release()
    assert not leads(one)
    await two.step()
    assert leads(two)


async def test_a_restart_under_the_same_name_goes_on_at_once(world: World) -> None:
    await world.replica("one").step()
    again = world.replica("one")
    await again.step()
    assert leads(again)


async def test_two_who_try_at_once_one_wins(world: World) -> None:
    one, two = world.replica("one"), world.replica("two")
    await one.step()
    await one.release()
    real_get = world.api.get
    seen = await real_get(LEASE, "bramble-system", "bramble-operator")

    async def stale_get(*_: object) -> object:
        return seen

    await one.step()
    world.api.get = stale_get  # type: ignore[assignment]
    with pytest.raises(Conflict):
        await two.step()
    assert not leads(two)
