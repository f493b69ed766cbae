"""A pass that fails: its object says why, and all other objects are still planned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bramble.engine import reconcile
from bramble.engine.faults import Faults
from bramble.engine.places import Places
from bramble.engine.reconcile import FAILURES_BEFORE_REPORT
from bramble.errors import ApiUnavailable, BrambleError, Conflict, NotAdmitted, NotFound, NotLeader, StoreRefused, StoreUnavailable
from bramble.kinds.controller import Controller
from bramble.kinds.plan import Plan
from bramble.kinds.sources import Sources
from bramble.kube.resources import DATASET, Key, Manifest
from tests.engine.running import eventually, nested, reading_deep
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import FakeStore, Replica, Time

WELL = {"type": "Ready", "status": "True", "reason": "Fine", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}


class World:
    """Two Datasets, `a` and `b`; the passes of `a` raise what `raises` says, until it says nothing."""

    def __init__(self, raises: Callable[[Manifest], BaseException | None], **fields: Any) -> None:
        self.raises, self.time, self.api = raises, Time(), FakeApi()
        self.passes, self.hangs = 0, False
        for name in "ab":
            self.api.put(made("Dataset", name, spec={}, **fields))
        controller = Controller(DATASET, self.gather, self.plan, lambda _: (), frozenset({"remembered"}))
        self.replica = Replica(self.api, FakeStore(), (controller,), Faults(), self.time)

    async def gather(self, key: Key, sources: Sources) -> Manifest | None:
        if self.hangs and key.name == "a":
            await asyncio.Event().wait()
        return await sources.get(DATASET, key.namespace, key.name)

    def plan(self, seen: Manifest, _: datetime) -> Plan:
        if seen["metadata"]["name"] == "a":
            self.passes += 1
            if (error := self.raises(seen)) is not None:
                raise error
        return Plan(status={**seen.get("status", {}), "conditions": [WELL]})

    async def live(self, seconds: float = 30.0) -> None:
        await self.replica.settle(seconds=seconds)

    def status(self, name: str = "a") -> dict[str, Any]:
        return dict(self.api.objects[Key("Dataset", "ads", name)].get("status") or {})

    def told(self, name: str = "a") -> tuple[str, str, str]:
        """Status, reason and message of Ready."""
        (condition,) = self.status(name)["conditions"]
        return condition["status"], condition["reason"], condition["message"]


def unforeseen() -> BaseException:
    return KeyError("spec" + 9_000 * "x")


def away() -> BaseException:
    return StoreUnavailable("store http://s3, bucket b does not answer")


@pytest.mark.parametrize(
    ("error", "reason", "part"),
    [
        pytest.param(unforeseen, "InternalError", "Bramble has a fault, not this object: KeyError: 'specxxx", id="nobody foresaw it"),
        pytest.param(away, "StoreUnavailable", "store http://s3, bucket b does not answer", id="the store is away"),
    ],
)
async def test_what_lasts_is_told_and_goes_with_the_next_pass_that_goes_through(
    error: Callable[[], BaseException], reason: str, part: str
) -> None:
    world = World(lambda _: error())
    await world.live(seconds=0)
    assert (world.passes, world.status()) == (1, {}), "once is no reason to say anything"
    await world.live()
    assert world.told()[:2] == ("False", reason)
    assert part in world.told()[2]
    assert FAILURES_BEFORE_REPORT < world.passes < 10, "the passes go on, with back-off"
    assert world.told("b")[:2] == ("True", "Fine"), "the other object went on"

    world.raises = lambda _: None
    await world.live(seconds=120)
    assert world.told()[:2] == ("True", "Fine")


async def test_a_webhook_that_does_not_answer_is_told_at_once() -> None:
    world = World(lambda _: NotAdmitted('failed calling webhook "policy.example.org"'))
    await world.live(seconds=0)
    assert world.told() == ("False", "NotAdmitted", 'failed calling webhook "policy.example.org"')


async def test_what_to_do_about_a_fault_is_said_however_long_its_text_is() -> None:
    world = World(lambda _: unforeseen())
    await world.live()
    assert world.told()[2].endswith("please report this with the traceback in the operator's log")


async def test_passes_that_do_not_end_are_told_and_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "PASS_SECONDS", 0.02)
    world = World(lambda _: None)
    world.hangs = True
    await world.live()
    assert world.told()[:2] == ("False", "PassTimedOut")
    assert "Planning this object takes longer than 0.02 s" in world.told()[2]
    assert world.told("b")[:2] == ("True", "Fine")

    world.hangs = False
    await world.live(seconds=120)
    assert world.told()[:2] == ("True", "Fine")


@pytest.mark.parametrize("failures", [1, FAILURES_BEFORE_REPORT - 1])
async def test_a_hiccup_is_not_told(failures: int) -> None:
    world = World(lambda _: away() if world.passes <= failures else None)
    await world.live()
    assert world.told()[:2] == ("True", "Fine")
    assert not [event for event in world.api.of_kind("Event") if event["reason"] == "StoreUnavailable"]


@pytest.mark.parametrize("error", [unforeseen, away, lambda: StoreRefused("no")])
async def test_what_is_remembered_stays_whole_whatever_fails(error: Callable[[], BrambleError]) -> None:
    remembered = ["x" * 100] * 400
    world = World(lambda _: error(), status={"remembered": remembered, "shown": remembered})
    await world.live()
    assert world.told()[0] == "False"
    assert world.status()["remembered"] == remembered


async def test_an_object_that_no_pass_can_walk_is_told_and_the_others_go_on() -> None:
    def walk(levels: Any) -> BaseException | None:
        return walk(levels)

    world = World(walk)
    world.api.objects[Key("Dataset", "ads", "a")]["spec"] = nested(3_000)
    with reading_deep():
        await world.live()
    assert world.told()[1] == "InternalError"
    assert "RecursionError" in world.told()[2]
    assert world.told("b")[:2] == ("True", "Fine")


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        pytest.param(NOW + timedelta(seconds=90), 90, id="a moment to come"),
        pytest.param(NOW - timedelta(seconds=5), -5, id="a moment that has passed"),
        pytest.param((NOW + timedelta(seconds=90)).replace(tzinfo=None), 90, id="without a zone it is UTC"),
        pytest.param((NOW + timedelta(seconds=90)).astimezone(tz=None), 90, id="in another zone"),
    ],
)
def test_the_seconds_until_a_moment(moment: datetime, seconds: float) -> None:
    assert reconcile.seconds_until(moment, NOW) == seconds


def test_objects_are_named_with_their_namespace_where_they_have_one() -> None:
    assert reconcile.label(Key("Dataset", "ads", "tape")) == "Dataset ads/tape"
    assert reconcile.label(Key("Fleet", "", "living-rooms")) == "Fleet living-rooms"


async def one_pass(world: World, name: str = "a") -> None:
    await world.replica.relist.compare()
    world.replica.queue.clear()
    await world.replica.reconciler._guarded_pass(Key("Dataset", "ads", name))


async def test_after_a_terminal_error_the_object_is_planned_again_after_half_a_minute() -> None:
    world = World(lambda _: StoreRefused("the bucket does not exist; create it"))
    await one_pass(world)
    assert world.told() == ("False", "StoreRefused", "the bucket does not exist; create it")
    assert world.replica.queue.next_due() == reconcile.TERMINAL_SECONDS
    assert world.replica.queue.failures(Key("Dataset", "ads", "a")) == 0, "there is no back-off"


@pytest.mark.parametrize(
    ("error", "relists"),
    [
        pytest.param(Conflict("changed"), False, id="a conflict: the watch will deliver the newer object"),
        pytest.param(NotLeader("another leads"), False, id="another replica leads"),
        pytest.param(NotFound("gone"), True, id="an object is gone that the cache still has"),
        pytest.param(ApiUnavailable("away"), False, id="the API server is away"),
    ],
)
async def test_errors_of_the_api_are_retried_and_not_reported(error: Exception, relists: bool) -> None:
    world = World(lambda _: error)
    for _ in range(FAILURES_BEFORE_REPORT + 1):
        await one_pass(world)
    assert world.status() == {}
    due = world.replica.queue.next_due()
    assert due is not None
    assert due <= 4, "the queue was cleared each time, and the back-off goes on from the failures counted since"
    assert world.replica.relist._requested.is_set() is relists


async def test_an_object_that_is_gone_leaves_nothing_in_the_queue() -> None:
    world = World(lambda _: StoreUnavailable("away"))
    await one_pass(world)
    assert world.replica.queue.next_due() is not None
    del world.api.objects[Key("Dataset", "ads", "a")]
    await world.replica.relist.compare()
    await world.replica.reconciler._guarded_pass(Key("Dataset", "ads", "a"))
    assert world.replica.queue.next_due() is None


async def test_a_plan_says_when_its_object_is_planned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(lambda _: None)
    monkeypatch.setattr(world.replica.reconciler, "_now", lambda: NOW)
    monkeypatch.setattr(world, "plan", lambda *_: Plan(wake_at=NOW + timedelta(seconds=42)))
    world.replica.reconciler._controllers["Dataset"] = Controller(DATASET, world.gather, world.plan, lambda _: ())  # type: ignore[index]
    await one_pass(world)
    assert world.replica.queue.next_due() == 42


async def test_a_status_that_was_held_back_is_written_when_it_may_be() -> None:
    world = World(lambda _: None)
    await one_pass(world)

    async def held_back(*_: Any) -> float:
        return 3.5

    world.replica.reconciler._executor.execute = held_back  # type: ignore[method-assign,assignment]
    await one_pass(world)
    assert world.replica.queue.next_due() == 3.5


async def test_workers_drop_keys_while_this_replica_does_not_lead() -> None:
    world = World(lambda _: None)
    await world.replica.relist.compare()
    lease = LeaseThatWasLost()

    async def idle() -> bool:
        return world.replica.queue.idle

    worker = asyncio.ensure_future(world.replica.reconciler.work(lease, Places(1)))  # type: ignore[arg-type]
    await eventually(idle)
    worker.cancel()
    await asyncio.wait([worker])
    assert world.passes == 0


class LeaseThatWasLost:
    """Led when the worker began to wait for a key, and no longer when it got one."""

    def __init__(self) -> None:
        self.leading = self

    async def wait(self) -> None:
        await asyncio.sleep(0)

    def is_set(self) -> bool:
        return False
