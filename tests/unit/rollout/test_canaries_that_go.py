"""Canaries that leave, die, restart or never take the version, in whole rollouts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rollout.world import FakeWorld, package_digest, promoted

MINUTE: list[dict[str, Any]] = [{"nodes": 1, "bake": "60s"}, {"nodes": "100%", "bake": "60s"}]


async def watching(world: FakeWorld) -> tuple[str, ...]:
    """The candidate is out on the boards of the first step and watched; those boards."""
    await promoted(world, "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.candidate is not None and bool(world.status.step_started_at))
    assert world.assignment is not None
    return world.assignment.candidate_nodes


async def pass_time(world: FakeWorld, seconds: int) -> None:
    for _ in range(seconds // 5):
        world.live()
        await world.step()


def leave(world: FakeWorld, node: str) -> None:
    """The label goes by which the operator places the agent, as when the Node is deleted."""
    next(value for key, value in world.objects.items() if key.kind == "Node" and key.name == node)["metadata"]["labels"].pop(
        "bramble.dev/agent"
    )


async def test_a_step_does_not_end_while_no_board_serves_the_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    world = FakeWorld(steps=MINUTE, guardrails=[])
    (canary,) = await watching(world)
    await pass_time(world, 55)
    leave(world, canary)
    for device in world.devices.values():
        monkeypatch.setattr(device, "accept", lambda _: None)
    await pass_time(world, 60)
    assert world.status.step == 0
    assert world.condition("Ready") == "False/WaitingForNodes"


async def test_a_canary_that_takes_the_place_of_another_is_watched_for_the_whole_bake() -> None:
    world = FakeWorld(steps=MINUTE, guardrails=[])
    (canary,) = await watching(world)
    await pass_time(world, 55)
    leave(world, canary)
    await world.until(lambda: bool(world.assignment and world.assignment.candidate_nodes not in ((), (canary,))))
    began = world.now
    await world.until(lambda: world.status.step == 1)
    assert (world.now - began).total_seconds() >= 60


async def test_a_canary_whose_agent_restarted_is_watched_for_the_whole_bake() -> None:
    world = FakeWorld(steps=MINUTE, guardrails=[])
    (canary,) = await watching(world)
    await pass_time(world, 40)
    world.devices[canary].restart()
    began = world.now
    await world.until(lambda: world.status.step == 1)
    assert (world.now - began).total_seconds() >= 60


@pytest.mark.parametrize("remembered", [True, False], ids=["its last report is known", "operator and gateway were restarted"])
async def test_dead_canaries_are_lost_though_their_nodes_were_removed(remembered: bool) -> None:
    world = FakeWorld(nodes=8, steps=[{"nodes": 2, "bake": "60s"}, {"nodes": "100%", "bake": "60s"}], guardrails=[])
    canaries = await watching(world)
    for canary in canaries:
        world.devices[canary].online = False
    await pass_time(world, 10)
    for canary in canaries:
        leave(world, canary)
    if not remembered:
        await world.step()
        for canary in canaries:
            del world.devices[canary]
    await pass_time(world, 60)
    assert world.status.undone is not None
    assert world.status.undone.reason == "Lost"


async def test_a_board_with_a_full_disk_is_passed_over_and_comes_along_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world = FakeWorld(steps=MINUTE, guardrails=[])
    await promoted(world, "1.0.0")
    full = world.devices["board-3"]
    take = full.accept
    monkeypatch.setattr(full, "accept", lambda _: None)
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.stable is not None and world.status.stable.ref == "digits-2-0-0", passes=600)
    assert "Warning PassedOver" in world.events
    assert world.condition("Ready") == "False/Verifying"
    monkeypatch.setattr(full, "accept", take)
    await promoted(world, "2.0.0")
    assert full.active == package_digest("2.0.0")


async def test_when_every_canary_gives_the_version_up_the_next_ones_are_tried() -> None:
    """As after the gateway was away for longer than a device tries a candidate without it."""
    world = FakeWorld(steps=MINUTE, guardrails=[])
    (canary,) = await watching(world)
    world.devices[canary].abandons = frozenset({package_digest("2.0.0")})
    world.devices[canary].give_up()
    await promoted_without(world, canary)
    assert world.status.undone is None


async def promoted_without(world: FakeWorld, canary: str) -> None:
    await world.until(lambda: world.status.step == 1)
    assert world.assignment is not None
    assert world.active()[canary] == "1.0.0"
    assert "2.0.0" in world.active().values()


async def test_an_outage_of_the_gateway_that_makes_many_canaries_give_up_ends_nothing() -> None:
    """More of them than memory names."""
    world = FakeWorld(nodes=140, steps=[{"nodes": 60, "bake": "60s"}, {"nodes": "100%", "bake": "5s"}], guardrails=[])
    await promoted(world, "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.attempt == 2 and bool(world.status.step_started_at))
    assert world.assignment is not None
    canaries = world.assignment.candidate_nodes
    for node in canaries:
        world.devices[node].abandons = frozenset({package_digest("2.0.0")})
        world.devices[node].give_up()
    await world.until(lambda: world.status.step == 1)
    assert world.status.undone is None
    assert world.assignment is not None
    served = [node for node, version in world.active().items() if version == "2.0.0"]
    assert len(served) >= 30
    assert not set(served) & set(canaries)
    assert len(world.assigned) < 20, "no write for each pass"
