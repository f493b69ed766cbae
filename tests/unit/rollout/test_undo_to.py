"""The request `undo`: back to a version that was promoted before, in one write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bramble.api.rollout import Status
from bramble.contracts.store import blob_key
from bramble.kinds.rollout.decision import Decision
from bramble.kinds.rollout.memory import HISTORY_KEPT, promotions
from bramble.kube.resources import Key
from tests.unit.rollout.rows import release
from tests.unit.rollout.world import FakeWorld, package_digest, promoted

FIRST = Key("ModelVersion", "digits", "digits-1-0-0")
STEPS = [{"nodes": "100%", "bake": "5s"}]


async def three_versions() -> FakeWorld:
    """3.0.0 is stable; 2.0.0 and 1.0.0 were before."""
    world = FakeWorld(steps=STEPS, guardrails=[])
    await promoted(world, "1.0.0")
    for version in ("2.0.0", "3.0.0"):
        world.add_version(version)
        world.want(version)
        await promoted(world, version)
    return world


async def test_a_fleet_goes_back_two_versions_in_one_write() -> None:
    world = await three_versions()
    before = len(world.assigned)
    world.ask(id="back", action="undo", to="digits-1-0-0")
    await world.until(lambda: set(world.active().values()) == {"1.0.0"})
    await world.run(20)
    assert len(world.assigned) == before + 1
    assert world.assigned[-1].candidate is None
    assert world.condition("Ready") == "False/Undone"
    assert world.condition("Aborted") == "True/Requested"
    assert [each.ref for each in world.status.history] == ["digits-1-0-0", "digits-3-0-0", "digits-2-0-0"]
    world.want("1.0.0")
    await promoted(world, "1.0.0")
    assert len(world.assigned) == before + 1


async def test_the_version_that_was_left_is_tried_again_by_request_only() -> None:
    world = await three_versions()
    world.ask(id="back", action="undo", to="digits-2-0-0")
    await world.run(30)
    assert set(world.active().values()) == {"2.0.0"}
    world.ask(id="again", action="retry")
    await promoted(world, "3.0.0")


async def test_the_first_cause_of_an_undo_is_kept_when_the_fleet_goes_back_further() -> None:
    world = await three_versions()
    world.ask(id="back", action="undo", to="digits-2-0-0")
    await world.run(30)
    first = world.status.undone
    assert first is not None
    world.ask(id="further", action="undo", to="digits-1-0-0")
    await world.until(lambda: set(world.active().values()) == {"1.0.0"})
    assert world.status.undone == first


async def test_the_decision_is_filed() -> None:
    world = await three_versions()
    world.ask(id="back", action="undo", to="digits-2-0-0")
    await world.run(5)
    key = next(key for key in world.files if key.endswith("/4-0-undo.json"))
    decision = Decision.model_validate_json(world.files[key])
    assert (decision.action, decision.stable, decision.candidate) == ("Undo", "digits-2-0-0", "digits-3-0-0")
    assert decision.reproduces()


def not_ready(world: FakeWorld) -> None:
    world.objects[FIRST]["status"]["conditions"][0]["status"] = "False"


def made_anew(world: FakeWorld) -> None:
    world.objects[FIRST]["metadata"]["uid"] = "another"


def deleted(world: FakeWorld) -> None:
    del world.objects[FIRST]


def without_package(world: FakeWorld) -> None:
    del world.files[blob_key(package_digest("1.0.0"))]


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        pytest.param(not_ready, "digits-1-0-0", "is not Ready any more", id="it is not Ready any more"),
        pytest.param(made_anew, "digits-1-0-0", "is deleted", id="another version has its name"),
        pytest.param(deleted, "digits-1-0-0", "is deleted", id="it is deleted"),
        pytest.param(without_package, "digits-1-0-0", "the store has no package", id="its package is gone"),
        pytest.param(
            lambda _: None,
            "digits-9-0-0",
            "is not among the versions that this Rollout promoted: digits-3-0-0, digits-2-0-0",
            id="it was never promoted",
        ),
    ],
)
async def test_a_version_that_the_fleet_cannot_go_back_to_is_refused(change: Callable[[FakeWorld], None], to: str, said: str) -> None:
    world = await three_versions()
    change(world)
    world.ask(id="back", action="undo", to=to)
    await world.run(3)
    answer = world.status.last_request
    assert answer is not None
    assert answer.result == "Refused"
    assert said in answer.message
    assert set(world.active().values()) == {"3.0.0"}


async def test_of_a_version_that_is_older_than_what_is_remembered_nobody_says_that_it_was_never_promoted() -> None:
    world = await three_versions()
    older = [release(f"{number}.0.0").model_dump(mode="json", by_alias=True) for number in range(4, 4 + HISTORY_KEPT - 3)]
    world.rollout["status"]["history"] = [*world.rollout["status"]["history"], *older]
    world.ask(id="back", action="undo", to="digits-99-0-0")
    await world.run(3)
    answer = world.status.last_request
    assert answer is not None
    assert "'digits-99-0-0' is not among the last 10 versions that this Rollout promoted" in answer.message


def test_the_last_promotions_are_remembered() -> None:
    versions = [release(f"{number}.0.0") for number in range(HISTORY_KEPT + 3)]
    found: tuple[Any, ...] = ()
    for version in versions:
        found = promotions(Status(history=found), version)
    assert found == tuple(reversed(versions))[:HISTORY_KEPT]
    assert promotions(Status(history=found), versions[7])[0] == versions[7]
    assert len(promotions(Status(history=found), versions[7])) == HISTORY_KEPT
