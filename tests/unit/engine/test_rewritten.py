"""Children that something in the cluster rewrites: applied once, told once, and tried again later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from bramble.engine.rewritten import AGAIN_SECONDS, CONDITION, REASON
from bramble.kinds.plan import Apply, Delete, Plan
from bramble.kube.api import Applied
from bramble.kube.resources import Manifest, Resource
from tests.unit.engine.test_execute import CHILD, STATUS_SECONDS, RecordingApi, World, child


class RewritingApi(RecordingApi):
    """Something in this cluster sets a field of every ConfigMap that is written."""

    rewrites: dict[str, Any] | None = None

    async def apply(self, resource: Resource, manifest: Manifest, *, force: bool) -> Applied:
        if self.rewrites is not None:
            manifest = {**manifest, "data": {**manifest["data"], **self.rewrites}}
        return await super().apply(resource, manifest, force=force)


def told(world: World) -> list[tuple[str, str]]:
    """Status and message of the condition about children."""
    conditions = world.planned.get("status", {}).get("conditions", ())
    return [(each["status"], each["message"]) for each in conditions if each["type"] == CONDITION]


@dataclass
class Passes:
    """Passes that want the same child and the same status."""

    world: World
    wanted: dict[str, str]

    async def make(self, number: int = 1) -> int:
        """So many passes, each of which reads what is there. Returns the applies."""
        self.world.api.sent.clear()
        for _ in range(number):
            kept = [each for each in self.world.planned.get("status", {}).get("conditions", ()) if each["type"] == CONDITION]
            plan = Plan(items=(Apply(child(self.wanted)),), status={"phase": "Ready", "conditions": kept})
            await self.world.execute(plan, {CHILD: self.world.api.objects.get(CHILD)})
            self.world.time.now += STATUS_SECONDS
        return sum(verb.startswith("apply") for verb in self.world.api.verbs)


async def test_what_something_rewrites_is_applied_once_and_told_once() -> None:
    api = RewritingApi()
    api.rewrites = {"grace": "45"}
    world = World(api=api)
    passes = Passes(world, {"grace": "40", "other": "x"})
    assert await passes.make(20) == 1
    ((status, message),) = told(world)
    assert status == "False"
    assert message.startswith("ConfigMap ads/child: data.grace is '45', where Bramble states '40'. Something in the cluster rewrites it")
    assert [each["reason"] for each in api.of_kind("Event")] == [REASON]
    assert api.verbs.count("status") == 1


async def test_a_person_who_changes_a_rewritten_child_changes_nothing_for_long() -> None:
    api = RewritingApi()
    api.rewrites = {"grace": "45"}
    passes = Passes(World(api=api), {"grace": "40", "other": "x"})
    await passes.make(2)
    api.put({**api.objects[CHILD], "data": {"grace": "45", "other": "by hand"}})
    assert await passes.make(5) == 1
    assert api.objects[CHILD]["data"] == {"grace": "45", "other": "x"}
    passes.wanted = {"grace": "41", "other": "x"}
    assert await passes.make(5) == 1, "what is stated now was never tried"


async def test_a_child_is_tried_again_and_no_longer_told_once_nothing_rewrites_it() -> None:
    api = RewritingApi()
    api.rewrites = {"grace": "45"}
    world = World(api=api)
    world.executor._rewritten._clock = world.time
    passes = Passes(world, {"grace": "40"})
    await passes.make(2)
    api.rewrites = None
    assert (await passes.make(2), len(told(world))) == (0, 1)
    world.time.now += AGAIN_SECONDS
    assert (await passes.make(2), told(world)) == (1, [])


async def test_a_rewritten_child_wakes_its_owner_when_it_is_tried_again() -> None:
    api = RewritingApi()
    api.rewrites = {"grace": "45"}
    world = World(api=api)
    world.executor._rewritten._clock = world.time
    await Passes(world, {"grace": "40"}).make()
    began = world.time.now - STATUS_SECONDS
    assert await world.execute(Plan()) == began + AGAIN_SECONDS - world.time.now
    world.time.now = began + AGAIN_SECONDS
    assert await world.execute(Plan()) is None, "a plan that no longer looks at it wakes nobody for ever"


async def test_a_child_that_is_deleted_is_no_longer_told() -> None:
    api = RewritingApi()
    api.rewrites = {"grace": "45"}
    world = World(api=api)
    await Passes(world, {"grace": "40"}).make()
    assert len(told(world)) == 1
    deletion = Delete(CHILD, api.objects[CHILD]["metadata"]["uid"])
    await world.execute(Plan(items=(deletion,), status={"phase": "Ready", "conditions": world.planned["status"]["conditions"]}))
    assert told(world) == []


async def test_a_new_leader_goes_on_telling_what_it_has_not_looked_at_yet() -> None:
    api = RewritingApi()
    api.rewrites = {"grace": "45"}
    world = World(api=api)
    await Passes(world, {"grace": "40"}).make()
    world.executor.begin_to_lead()
    await world.execute(Plan(status={"phase": "Pending", "conditions": world.planned["status"]["conditions"]}))
    assert len(told(world)) == 1, "this pass has applied nothing"
    assert await Passes(world, {"grace": "40"}).make(5) == 1
    assert len(told(world)) == 1
    assert [each["reason"] for each in api.of_kind("Event")] == [REASON], "it is told once"


async def test_a_leader_does_not_tell_of_children_that_another_one_deleted() -> None:
    api = RewritingApi()
    api.rewrites = {"grace": "45"}
    world = World(api=api)
    await Passes(world, {"grace": "40"}).make()
    del api.objects[CHILD]
    world.executor.begin_to_lead()
    await world.items(Apply(child({"a": "1"}, name="other")))
    await world.execute(Plan(items=(Apply(child({"a": "1"}, name="other")),), status=world.planned["status"]))
    assert told(world) == []


@pytest.mark.parametrize(
    ("wanted", "written", "is_told"),
    [
        ("1024Mi", "1Gi", False),
        ("1000m", "1", False),
        ("1.5", "1500m", False),
        ("1Gi", "2Gi", True),
        ("1Gi", "1G", True),
        ("always", "1", True),
    ],
)
async def test_another_form_of_a_quantity_is_not_told(wanted: str, written: str, is_told: bool) -> None:
    api = RewritingApi()
    api.rewrites = {"memory": written}
    world = World(api=api)
    assert await Passes(world, {"memory": wanted}).make(5) == 1
    assert bool(told(world)) is is_told


async def test_an_owner_that_is_gone_leaves_nothing_behind() -> None:
    api = RewritingApi()
    api.rewrites = {"grace": "45"}
    world = World(api=api)
    await Passes(world, {"grace": "40"}).make()
    world.executor.forget("owner")
    assert not world.executor._rewritten._of_owner
