"""A guardrail that asks for better, and what is judged of a first version, which is compared with nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.kinds.rollout.policies.begin import begin
from bramble.kinds.rollout.policies.guardrails import guardrails
from tests.unit.rollout.rows import (
    FIRST,
    NODES,
    NOW,
    PAUSE,
    STEPS,
    V2,
    baking,
    canaries,
    kept,
    observed,
    orders,
    out,
    ready,
    with_candidate,
)
from tests.unit.rollout.world import FakeWorld, promoted

row = pytest.param
BETTER = {"guardrails": [{"metric": "errors", "better": True}]}
LIMIT = {
    "guardrails": [{"metric": "errors", "limit": "0.2"}, {"metric": "latency", "quantile": "0.9", "limit": "0.2"}, {"metric": "rejected"}]
}


@pytest.mark.parametrize(
    ("steps", "step", "asked"),
    [
        row(STEPS, 0, None, id="in a step before others"),
        row(STEPS, 1, True, id="before the step with every node"),
        row(STEPS, 2, True, id="before the promotion"),
        row([STEPS[0], *PAUSE], 0, True, id="before the step with every node, after a pause"),
    ],
)
def test_better_is_asked_before_every_node_has_the_candidate(steps: list[dict[str, Any]], step: int, asked: bool | None) -> None:
    seen = with_candidate(canaries("a"), status=baking(step=step), steps=steps, analysis=BETTER)
    assert [rule.better for rule in seen.compared] == [asked]


def test_better_needs_somebody_to_compare_with_though_there_is_a_limit() -> None:
    analysis = {"guardrails": [{"metric": "errors", "better": True, "limit": "0.2"}]}
    steps = [{"nodes": "100%", "bake": "1s"}]
    assert ready(begin(observed(ref=V2, written=orders(), analysis=analysis, steps=steps, history=10), NOW)) == "CollectingEvidence"
    assert ready(begin(observed(ref=V2, written=orders(), analysis=analysis, steps=steps), NOW)) == "Started"


async def tried(wrong: float) -> FakeWorld:
    """2.0.0 is tried where one in five answers of 1.0.0 is wrong."""
    world = FakeWorld(guardrails=[{"metric": "accuracy", "maxRatio": "2", "minEvents": 50, "better": True}])
    world.requests = 500
    world.wrong = {"1.0.0": 0.2, "2.0.0": wrong}
    await promoted(world, "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    return world


async def test_a_version_that_is_better_is_promoted() -> None:
    world = await promoted(await tried(0.1), "2.0.0")
    assert world.status.decision is not None
    assert world.status.decision["rules"][1]["better"] is True


async def test_a_version_that_is_not_better_waits_for_a_person_before_every_node_has_it() -> None:
    world = await tried(0.2)
    await world.until(lambda: world.condition("Ready") == "False/Undecided", passes=400)
    assert world.status.step == 1
    assert "below stable, as better asks" in world.status.conditions[0]["message"]
    assert len(world.status.history) == 1
    assert sorted(world.active().values()) == ["1.0.0", "1.0.0", "2.0.0", "2.0.0"]


@pytest.mark.parametrize(
    ("errors", "on", "step", "undone"),
    [
        row(0, "a", 0, None, id="no error"),
        row(150, "a", 0, "GuardrailFailed", id="above its limit"),
        row(150, "abcd", 2, "GuardrailFailed", id="above its limit in the last step"),
        row(30, "abcd", 2, None, id="below its limit"),
    ],
)
def test_the_limit_of_a_first_version(errors: int, on: str, step: int, undone: str | None) -> None:
    reports = canaries(*on, errors=errors)
    seen = with_candidate(reports, status=baking(step=step, **FIRST), on=tuple(on), analysis=LIMIT)
    assert [(rule.metric, rule.absolute) for rule in seen.compared] == [("errors", True)], (
        "what is slow cannot be known, and nothing compared"
    )
    assert kept(seen, guardrails(seen, NOW)).get("undone", {}).get("reason") == undone


def test_a_lost_node_of_a_first_version_on_every_node_does_not_hide_its_limit() -> None:
    reports = canaries(*NODES, errors=150, silent="d")
    seen = with_candidate(reports, status=baking(step=2, **FIRST), on=NODES, analysis=LIMIT)
    changes = kept(seen, guardrails(seen, NOW))
    assert changes["undone"]["reason"] == "GuardrailFailed"
    assert "lost" not in changes["undone"]["message"]


def test_a_first_version_is_undone_before_its_bake_is_over() -> None:
    status = out(step_started_at="", **FIRST)
    seen = with_candidate(canaries("a", errors=150), status=status, analysis=LIMIT)
    assert kept(seen, guardrails(seen, NOW + timedelta(seconds=1)))["undone"]["reason"] == "GuardrailFailed"


async def test_a_first_version_above_its_limit_leaves_nothing_behind() -> None:
    world = FakeWorld(guardrails=[{"metric": "accuracy", "limit": "0.3"}])
    world.wrong = {"1.0.0": 0.6}
    await world.until(lambda: world.condition("Verified") == "True/NothingServed")
    assert world.condition("Aborted") == "True/GuardrailFailed"
    assert set(world.active().values()) == {""}


async def test_the_ceiling_of_a_first_version_passes_and_the_steps_set_the_pace() -> None:
    world = FakeWorld(guardrails=[{"metric": "accuracy", "ceiling": "0.3"}])
    await promoted(world, "1.0.0")
    assert world.status.decision is not None
    assert [verdict["verdict"] for verdict in world.status.decision["judgement"]["guardrails"]] == ["Pass", "Pass"]
    assert world.status.decision["reason"] == "FirstRollout"
