"""One leader at a time, judged on the replica's own clock."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest

from bramble.engine.lease import Holder, Lease, micro_time
from bramble.errors import ApiUnavailable, Conflict, NotLeader
from bramble.kube.resources import LEASE, Manifest, Resource
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


async def test_the_deadline_of_a_slow_renewal_counts_from_when_it_was_sent(world: World) -> None:
    """Counted from the answer, the old leader could still write when another replica has already taken the Lease."""
    one = world.replica("one")
    await one.step()
    replace = world.api.replace

    async def slow_replace(resource: Resource, manifest: Manifest) -> Manifest:
        answer = await replace(resource, manifest)
        world.time.now += SECONDS * 0.6
        return answer

    world.api.replace = slow_replace  # type: ignore[method-assign]
    await one.step()
    assert leads(one), "0.6 of the duration have passed, and it may act for 0.8"
    world.time.now += SECONDS * 0.2
    assert not leads(one)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        pytest.param(0.79, True, id="just before its deadline a leader may write"),
        pytest.param(0.8, False, id="at its deadline it may not"),
        pytest.param(1.0, False, id="nor when the Lease has expired"),
    ],
)
async def test_a_leader_may_write_until_its_deadline(world: World, share: float, expected: bool) -> None:
    one = world.replica("one")
    await one.step()
    world.time.now += SECONDS * share
    one._update_leading()
    assert leads(one) is expected
    assert one.leading.is_set() is expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(SECONDS - 0.01, False, id="a moment before the Lease expires"),
        pytest.param(SECONDS, True, id="exactly when it expires"),
    ],
)
async def test_another_replica_takes_the_lease_when_it_expires(world: World, seconds: float, expected: bool) -> None:
    one, two = world.replica("one"), world.replica("two")
    world.time.now = 7.0
    await one.step()
    await two.step()
    world.time.now += seconds
    await two.step()
    assert leads(two) is expected


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        pytest.param({"leaseDurationSeconds": 3 * SECONDS}, 3 * SECONDS, id="another duration: replicas may differ during an upgrade"),
        pytest.param({"leaseDurationSeconds": None}, SECONDS, id="no duration, after an edit by hand: as long as our own"),
    ],
)
async def test_a_lease_is_valid_for_as_long_as_its_holder_wrote(world: World, written: dict[str, int | None], seconds: int) -> None:
    one, two = world.replica("one"), world.replica("two")
    await one.step()
    (lease,) = world.api.of_kind("Lease")
    spec = {name: value for name, value in (lease["spec"] | written).items() if value is not None}
    world.api.put({**lease, "spec": spec})
    await two.step()
    world.time.now += seconds - 1
    await two.step()
    assert not leads(two)
    world.time.now += 1
    await two.step()
    assert leads(two)


async def test_a_renewal_seen_by_the_one_who_waits_starts_its_patience_anew(world: World) -> None:
    one, two = world.replica("one"), world.replica("two")
    await one.step()
    await two.step()
    world.time.now += SECONDS - 1
    await one.step()
    await two.step()
    world.time.now += SECONDS - 1
    await two.step()
    assert not leads(two)


async def test_the_lease_says_who_holds_it_since_when_and_how_often_it_changed_hands(world: World) -> None:
    one, two = world.replica("one"), world.replica("two")
    await one.step()
    first = world.spec()
    assert (first["holderIdentity"], first["leaseDurationSeconds"], first["leaseTransitions"]) == ("one", SECONDS, 0)
    await one.step()
    renewed = world.spec()
    assert (renewed["acquireTime"], renewed["leaseTransitions"]) == (first["acquireTime"], 0)
    assert str(renewed["renewTime"]) >= str(first["renewTime"])
    await one.release()
    released = world.spec()
    assert (released["holderIdentity"], released["leaseDurationSeconds"]) == ("", 1)
    await two.step()
    assert (world.spec()["holderIdentity"], world.spec()["leaseTransitions"]) == ("two", 1)
    assert str(world.spec()["acquireTime"]) >= str(first["acquireTime"])


async def test_a_replica_that_does_not_lead_releases_nothing(world: World) -> None:
    """It does not even ask the API server, which may be away when a replica is stopped."""
    one, two = world.replica("one"), world.replica("two")
    await one.step()
    await two.step()
    world.api.get = None  # type: ignore[assignment,method-assign]
    await two.release()
    assert world.spec()["holderIdentity"] == "one"


async def test_a_leader_that_has_lost_its_lease_does_not_release_the_next_holders(world: World) -> None:
    one = world.replica("one")
    await one.step()
    (lease,) = world.api.of_kind("Lease")
    world.api.put({**lease, "spec": {**lease["spec"], "holderIdentity": "two"}})
    await one.release()
    assert world.spec()["holderIdentity"] == "two"
    assert world.turns == [("one", True), ("one", False)]


async def run_for(world: World, lease: Lease, seconds: float, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Run the loop until this much of the world's time has passed; returns how long it slept each time."""
    slept: list[float] = []
    until = world.time.now + seconds

    async def sleep(duration: float) -> None:
        slept.append(duration)
        world.time.now += duration
        if world.time.now >= until:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with contextlib.suppress(asyncio.CancelledError):
        await lease.run()
    return slept


async def test_a_leader_renews_at_a_quarter_of_the_duration_and_the_other_looks_at_a_tenth(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.replica("one"), world.replica("two")
    assert await run_for(world, one, 2 * SECONDS, monkeypatch) == [SECONDS / 4] * 8
    assert await run_for(world, two, SECONDS / 2, monkeypatch) == [SECONDS / 10] * 5
    assert world.turns == [("one", True)]


@pytest.mark.parametrize("error", [ApiUnavailable("away"), Conflict("changed"), TimeoutError()], ids=lambda error: type(error).__name__)
async def test_a_leader_whose_renewals_fail_stops_at_its_deadline(world: World, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    one = world.replica("one")
    await one.step()

    async def fail(*_: Any) -> None:
        raise error

    world.api.get = fail  # type: ignore[assignment]
    await run_for(world, one, 1.5 * SECONDS, monkeypatch)
    assert world.turns == [("one", True), ("one", False)]
    assert not one.leading.is_set()


def test_a_micro_time_has_six_digits() -> None:
    assert micro_time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000000Z"
