"""What becomes of a pass that fails: its object says why, and everything else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from bramble.engine import reconcile
from bramble.engine.faults import Faults
from bramble.engine.reconcile import FAILURES_BEFORE_REPORT
from bramble.errors import BrambleError, StoreRefused, StoreUnavailable
from bramble.kinds.controller import Controller
from bramble.kinds.plan import Plan
from bramble.kinds.sources import Sources
from bramble.kube.resources import DATASET, Key, Manifest
from tests.engine.running import nested, reading_deep
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
