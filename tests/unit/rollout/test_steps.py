"""Steps of a spec that are edited while a candidate is tried."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.rollout import Begun, Step
from bramble.kinds.rollout.steps import begun, present_steps
from tests.unit.rollout.world import FakeWorld

row = pytest.param
TEN: dict[str, Any] = {"nodes": "10%", "bake": "10s"}
TWENTY: dict[str, Any] = {"nodes": "20%", "bake": "10m"}
ALL: dict[str, Any] = {"nodes": "100%", "bake": "10s"}
PAUSE: dict[str, Any] = {"pause": {}}


def parsed(steps: list[dict[str, Any]]) -> tuple[Step, ...]:
    return tuple(Step.model_validate(step) for step in steps)


@pytest.mark.parametrize(
    ("before", "at", "after", "steps", "index"),
    [
        row([TEN, TWENTY, ALL], 1, [TEN, TWENTY, ALL], [TEN, TWENTY, ALL], 1, id="nothing has changed"),
        row([TEN, TWENTY, ALL], 1, [TWENTY, ALL], [TWENTY, ALL], 0, id="a step that ended was removed"),
        row([TEN, TWENTY, ALL], 1, [ALL], [TWENTY, ALL], 0, id="the present step was removed, so it goes on as it began"),
        row([TEN, TWENTY, ALL], 0, [TWENTY, ALL], [TEN, TWENTY, ALL], 0, id="the first step was removed while it is watched"),
        row([TEN, ALL], 0, [PAUSE, TEN, ALL], [PAUSE, TEN, ALL], 1, id="a pause was put before it"),
        row([PAUSE, TEN, ALL], 1, [TEN, ALL], [TEN, ALL], 0, id="a pause that had ended was removed"),
        row([TEN, PAUSE, ALL], 1, [TEN, ALL], [TEN, PAUSE, ALL], 1, id="a pause stays one until somebody ends it"),
        row([PAUSE, ALL], 0, [ALL], [PAUSE, ALL], 0, id="a pause before any node stays one"),
        row([TEN, TWENTY, PAUSE, ALL], 2, [TWENTY, PAUSE, ALL], [TWENTY, PAUSE, ALL], 1, id="a step before the present pause was removed"),
        row([TEN, TWENTY, PAUSE, ALL], 1, [TEN, PAUSE, ALL], [TEN, TWENTY, PAUSE, ALL], 1, id="the pause that follows still follows"),
        row([TWENTY, PAUSE, ALL], 1, [ALL], [TWENTY | {"bake": "0s"}, PAUSE, ALL], 1, id="a pause keeps the nodes of a step that is gone"),
        row([TEN, ALL], 1, [TEN, TWENTY, ALL], [TEN, TWENTY, ALL], 2, id="every node has it, so a step that was put in is over"),
        row([TEN, ALL], 0, [TEN | {"bake": "1h"}, ALL], [TEN | {"bake": "1h"}, ALL], 0, id="the same step is watched for longer"),
        row([TEN, ALL], 0, [TWENTY, ALL], [TEN, TWENTY, ALL], 0, id="the present step asks for more nodes, so they come afterwards"),
        row([TWENTY, ALL], 0, [TEN, ALL], [TEN, TWENTY, ALL], 1, id="the present step asks for fewer nodes"),
        row([TEN, PAUSE, PAUSE, ALL], 2, [TEN, PAUSE, PAUSE, ALL], [TEN, PAUSE, PAUSE, ALL], 2, id="the second of two pauses"),
        row([TEN, TWENTY, PAUSE, PAUSE, ALL], 2, [TWENTY, PAUSE, PAUSE, ALL], [TWENTY, PAUSE, PAUSE, ALL], 1, id="the first of two pauses"),
        row([TEN, PAUSE, PAUSE, ALL], 2, [TEN, PAUSE, ALL], [TEN, PAUSE, ALL], 1, id="one of two pauses was removed"),
        row([TWENTY, PAUSE, ALL], 1, [PAUSE, ALL], [TWENTY | {"bake": "0s"}, PAUSE, ALL], 1, id="the step before the pause was removed"),
        row([TWENTY, PAUSE, PAUSE, ALL], 2, [TEN, PAUSE, PAUSE, ALL], [TEN, TWENTY | {"bake": "0s"}, PAUSE, PAUSE, ALL], 3, id="so it was"),
        row([TEN, TEN, ALL], 1, [TEN, TEN, ALL], [TEN, TEN, ALL], 1, id="the second of two equal steps"),
        row([{"nodes": 3, "bake": "1s"}, ALL], 0, [TEN, ALL], [TEN, {"nodes": 3, "bake": "1s"}, ALL], 1, id="a number and a share"),
    ],
)
def test_the_present_step_is_found_again(
    before: list[dict[str, Any]], at: int, after: list[dict[str, Any]], steps: list[dict[str, Any]], index: int
) -> None:
    found = present_steps(parsed(after), at, begun(parsed(before), at), 20)
    assert found == (parsed(steps), index)


def test_a_step_of_an_earlier_release_is_known_by_its_index() -> None:
    assert present_steps(parsed([TEN, ALL]), 5, None, 20).present == 1


def test_of_two_pauses_that_an_earlier_release_could_not_tell_apart_it_is_the_nearest() -> None:
    assert present_steps(parsed([TEN, PAUSE, PAUSE, ALL]), 2, Begun(nodes="10%", paused=True), 20).present == 2


def test_a_fleet_without_nodes_finds_it_too() -> None:
    assert present_steps(parsed([ALL]), 1, Begun(nodes="20%", bake="10m"), 0) == (parsed([TWENTY, ALL]), 0)


async def trying(steps: list[dict[str, Any]], step: int) -> FakeWorld:
    """A fleet of 20 nodes in the middle of a step."""
    world = FakeWorld(nodes=20, steps=[ALL])
    await world.until(lambda: world.condition("Ready") == "True/Promoted")
    world.rollout["spec"]["strategy"]["canary"]["steps"] = steps
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.step == step and bool(world.status.step_started_at))
    return world


def with_candidate(world: FakeWorld) -> int:
    return list(world.active().values()).count("2.0.0")


@pytest.mark.parametrize("left", [[TWENTY, ALL], [ALL], [PAUSE, TEN, TWENTY, ALL], [TEN, {"nodes": "80%", "bake": "1s"}, ALL]])
async def test_no_edit_of_the_steps_gives_the_candidate_to_more_nodes(left: list[dict[str, Any]]) -> None:
    world = await trying([TEN, TWENTY, ALL], 1)
    assert with_candidate(world) == 4
    world.rollout["spec"]["strategy"]["canary"]["steps"] = left
    world.rollout["metadata"]["generation"] += 1
    await world.run(20)
    assert with_candidate(world) == 4
    assert world.condition("Progressing") == "True/Baking"
    await world.until(lambda: world.status.stable is not None and world.status.stable.version == "2.0.0", passes=300)
    files = [name.rsplit("/", 1)[-1] for name in world.files if "/decisions/" in f"/{name}" and "/2-" in f"/{name.rsplit('/', 1)[-1]}"]
    assert "2-1-nextstep.json" in files, "the step that was edited is judged like every other"


async def test_a_step_that_can_never_be_judged_is_not_passed_by_an_edit() -> None:
    world = await trying([TEN, TWENTY, ALL], 1)
    world.requests = 0
    guardrail = {"metric": "errors", "minEvents": 1_000_000}
    world.rollout["spec"]["analysis"]["guardrails"] = [guardrail]
    world.rollout["spec"]["strategy"]["canary"]["steps"] = [ALL]
    world.rollout["metadata"]["generation"] += 1
    await world.run(200)
    assert with_candidate(world) == 4


async def test_no_edit_gives_the_candidate_to_more_nodes_in_a_step_that_an_earlier_release_began() -> None:
    """Its status said which step it was, and not what that asked for."""
    world = await trying([TEN, TWENTY, ALL], 1)
    del world.rollout["status"]["begun"]
    before = world.status
    await world.step()
    assert (world.status.begun, world.status.conditions) == (Begun(nodes="20%", bake="10m", alike=0), before.conditions)
    world.rollout["spec"]["strategy"]["canary"]["steps"] = [TEN, ALL]
    world.rollout["metadata"]["generation"] += 1
    await world.run(20)
    assert with_candidate(world) == 4


@pytest.mark.parametrize("left", [[TEN, PAUSE, PAUSE, ALL], [PAUSE, PAUSE, ALL]])
async def test_two_pauses_in_a_row_are_ended_by_two_requests_whatever_becomes_of_the_step_before(left: list[dict[str, Any]]) -> None:
    world = FakeWorld(nodes=5, steps=[ALL])
    await world.until(lambda: world.condition("Ready") == "True/Promoted")
    world.rollout["spec"]["strategy"]["canary"]["steps"] = [{"nodes": 2, "bake": "1s"}, PAUSE, PAUSE, ALL]
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.condition("Paused") == "True/PauseStep")
    world.rollout["spec"]["strategy"]["canary"]["steps"] = left
    world.rollout["metadata"]["generation"] += 1
    for request in ("one", "two"):
        await world.run(3)
        assert (world.condition("Paused"), with_candidate(world)) == ("True/PauseStep", 2)
        world.ask(id=request, action="resume")
    await world.until(lambda: world.status.stable is not None and world.status.stable.version == "2.0.0")
