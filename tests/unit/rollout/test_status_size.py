"""A Rollout with as many guardrails as a spec may have keeps every verdict in its status, and its time line."""

from __future__ import annotations

from bramble.api.rollout import Status
from bramble.engine.status import shorten
from tests.unit.rollout.world import FakeWorld, promoted

GUARDRAILS = [
    {"metric": metric, "minEvents": 50 + n, "ceiling": "0.5"} for n in range(4) for metric in ("accuracy", "errors", "rejected", "crashes")
]


async def test_all_guardrails_of_the_candidate_and_of_the_watch_have_room() -> None:
    world = FakeWorld(nodes=8, steps=[{"nodes": "100%", "bake": "5s"}])
    await promoted(world, "1.0.0")
    world.rollout["spec"]["strategy"]["canary"]["steps"] = [{"nodes": share, "bake": "10s"} for share in ("10%", "20%", "50%", "100%")]
    world.rollout["spec"]["analysis"] = {"guardrails": GUARDRAILS, "deadline": "10m", "watch": {"for": "always"}}
    await world.until(lambda: len((world.status.watch or {}).get("guardrails", ())) == len(GUARDRAILS))
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.step == 2 and bool(world.status.step_started_at))
    await world.run(3)
    status = world.rollout["status"]
    moments = [{"at": "2026-11-21T12:00:00Z", "reason": "WaitingForNodes", "message": "m" * 200} for _ in range(30)]
    status = {**status, "timeline": moments}
    assert len(status["watch"]["guardrails"]) == len(GUARDRAILS)
    assert len(status["analysis"]["guardrails"]) > len(GUARDRAILS)
    assert shorten(status, Status.MEMORY) == status
