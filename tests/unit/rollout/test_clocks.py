"""A leader's wall clock may be wrong, or be set: what the step waits for is measured by another one."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from bramble.engine.elapsed import Elapsed
from bramble.kinds.rollout.elapsed import STORED_EVERY
from bramble.kinds.rollout.plan import plan
from bramble.kinds.rollout.policies.assign import RAISE_AGAIN, assign
from tests.unit.rollout.rows import NOW, V1, ago, device, items, observed, orders
from tests.unit.rollout.world import FakeWorld, promoted

DEADLINE = 600.0
"""`analysis.deadline` of the world, in seconds."""

JUMPS = [pytest.param(timedelta(days=days), id=f"{days} days") for days in (5, -5)]


async def waits_for_nodes() -> FakeWorld:
    """No node answers."""
    world = FakeWorld()
    for board in world.devices.values():
        board.online, board.age = False, 99
    await world.until(lambda: world.condition("Progressing").endswith("WaitingForNodes"))
    return world


async def collects_evidence() -> FakeWorld:
    """Nobody asks the nodes anything."""
    world = await promoted(FakeWorld(), "1.0.0")
    world.requests = 0
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.condition("Progressing").endswith("CollectingEvidence"))
    return world


WAITING = [pytest.param(waits_for_nodes, id="for its nodes"), pytest.param(collects_evidence, id="for evidence")]


def undecided(world: FakeWorld) -> bool:
    return world.condition("Paused") == "True/Undecided"


async def passes(world: FakeWorld, seconds: float) -> None:
    """Time passes by the minute, with a pass after each."""
    for _ in range(int(seconds // 60)):
        world.live(60)
        await world.step()


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("waits", WAITING)
async def test_the_deadline_neither_comes_early_nor_is_missed_when_a_clock_is_set(waits: Any, jump: timedelta) -> None:
    world = await waits()
    world.now += jump
    await passes(world, DEADLINE / 2)
    assert not undecided(world)
    await passes(world, DEADLINE / 2 + 60)
    assert undecided(world)


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("waits", WAITING)
async def test_another_leader_with_another_clock_goes_on_where_the_last_one_was(waits: Any, jump: timedelta) -> None:
    world = await waits()
    await passes(world, DEADLINE / 2)
    world.now += jump
    world.elapsed = Elapsed(lambda: world.clock)
    await passes(world, DEADLINE / 4)
    assert not undecided(world)
    await passes(world, DEADLINE / 4 + STORED_EVERY + 60)
    assert undecided(world)


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_bake_lasts_as_long_as_it_should_when_a_clock_is_set(jump: timedelta) -> None:
    world = await promoted(FakeWorld(steps=[{"nodes": 1, "bake": "300s"}, {"nodes": "100%", "bake": "10s"}]), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.step_started_at != "")
    world.now += jump
    await passes(world, 240)
    assert world.status.step == 0
    await passes(world, 120)
    assert world.status.step == 1


@pytest.mark.parametrize("jump", JUMPS)
async def test_nodes_have_their_time_to_take_a_candidate_when_a_clock_is_set(jump: timedelta) -> None:
    world = await promoted(FakeWorld(steps=[{"nodes": 2, "bake": "10s"}, {"nodes": "100%", "bake": "10s"}]), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.candidate is not None and world.status.waiting_since != "")
    chosen = world.assignment
    assert chosen is not None
    late = world.devices[chosen.candidate_nodes[0]] if chosen.candidate_nodes else next(iter(world.devices.values()))
    late.accept = lambda _: None  # type: ignore[method-assign, assignment]
    world.now += jump
    await passes(world, 540)
    assert world.status.passed_over == {}
    await passes(world, 120)
    assert late.node in world.status.passed_over


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_deletion_waits_for_its_devices_when_a_clock_is_set(jump: timedelta) -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    for board in world.devices.values():
        board.online = False
    world.rollout["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    await world.step()
    world.now += jump
    await passes(world, 540)
    assert world.rollout["metadata"].get("finalizers")
    await passes(world, 120)
    assert not world.rollout["metadata"].get("finalizers")


async def test_what_was_measured_is_stored_once_a_minute() -> None:
    world = await collects_evidence()
    found = []
    for _ in range(30):
        world.live(20)
        await world.step()
        found.append(tuple(world.status.elapsed.values()))
    writes = sum(before != after for before, after in pairwise(found))
    assert 8 <= writes <= 10
    assert set(world.status.elapsed) == {world.status.step_started_at, world.status.waiting_since}


def test_orders_are_raised_again_though_another_leader_did_so_in_the_future() -> None:
    def seen(at: str) -> Any:
        reports = {"a": device("a", seq=9)}
        return observed(written=orders(), status={"seq": 4, "seq_raised_at": at}, reports=reports)

    assert assign(seen(ago(RAISE_AGAIN - timedelta(seconds=1))), NOW) is None
    assert assign(seen(ago(-timedelta(days=1))), NOW) is not None
    assert assign(seen(ago(RAISE_AGAIN)), NOW) is not None


def test_evidence_is_written_though_another_leader_wrote_it_in_the_future() -> None:
    seen = observed(ref=V1, written=orders())
    stored = seen.stored_ledger
    assert stored is not None
    ledger = stored.ledger
    assert ledger is not None
    later = ledger.model_copy(update={"at": int((NOW + timedelta(days=1)).timestamp())})
    assert "Apply" in items(plan(observed(ref=V1, written=orders(), ledger=later), NOW))
    assert "Apply" not in items(plan(seen, NOW))
