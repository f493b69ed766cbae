"""Which events whole rollouts leave: one for each thing that happened, and a Warning only for what needs a person."""

from __future__ import annotations

from tests.unit.rollout.world import FakeWorld, package_digest, promoted

FIRST = ["Normal Started", "Normal StepDone", "Normal StepDone", "Normal Promoted"]
"""A first version in three steps."""


async def wanting(version: str, *, wrong: float = 0.0) -> FakeWorld:
    """A fleet that serves 1.0.0, and whose Rollout names another version, which gives this share of wrong answers."""
    world = await promoted(FakeWorld(), "1.0.0")
    world.wrong = {"1.0.0": 0.02, version: wrong}
    world.events.clear()
    world.add_version(version)
    world.want(version)
    return world


async def test_a_first_version() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    assert world.events == FIRST


async def test_a_version_that_is_promoted() -> None:
    world = await promoted(await wanting("2.0.0"), "2.0.0")
    assert world.events == ["Normal Started", "Normal StepDone", "Normal StepDone", "Normal Promoted"]


async def test_a_version_that_is_undone() -> None:
    world = await wanting("2.0.0", wrong=0.5)
    await world.until(lambda: world.status.undone is not None and world.condition("Verified").startswith("True"))
    await world.run(20)
    assert world.events == ["Normal Started", "Warning Undone"]


async def test_a_version_that_is_undone_and_tried_again() -> None:
    world = await wanting("2.0.0", wrong=0.5)
    await world.until(lambda: world.status.undone is not None and world.condition("Verified").startswith("True"))
    world.wrong["2.0.0"] = 0.0
    world.ask(id="a", action="retry", attempt=2)
    await promoted(world, "2.0.0")
    again = ["Normal RequestAccepted", "Normal Started", "Normal StepDone", "Normal StepDone", "Normal Promoted"]
    assert world.events == ["Normal Started", "Warning Undone", *again]


async def test_a_version_that_a_device_refuses() -> None:
    world = await wanting("2.0.0")
    for device in world.devices.values():
        device.refuses = frozenset({package_digest("2.0.0")})
    await world.until(lambda: world.status.undone is not None and world.condition("Verified").startswith("True"))
    assert world.events == ["Normal Started", "Warning Undone"]


async def test_a_reference_that_goes_back_to_the_stable_version() -> None:
    world = await wanting("2.0.0")
    await world.until(lambda: "2.0.0" in world.active().values())
    world.want("1.0.0")
    await promoted(world, "1.0.0")
    assert world.events == ["Normal Started", "Normal ReferenceChanged"]


async def test_a_pause_and_a_person_who_ends_it() -> None:
    world = FakeWorld(steps=[{"nodes": 1, "bake": "5s"}, {"pause": {}}, {"nodes": "100%", "bake": "5s"}])
    await world.until(lambda: world.condition("Paused") == "True/PauseStep")
    await world.run(10)
    world.ask(id="a", action="resume", attempt=1, step=1)
    await promoted(world, "1.0.0")
    assert world.events == ["Normal Started", "Normal StepDone", "Normal PauseStep", "Normal RequestAccepted", "Normal Promoted"]


async def test_an_abort_by_a_person() -> None:
    world = await wanting("2.0.0")
    await world.until(lambda: "2.0.0" in world.active().values())
    world.ask(id="a", action="abort", attempt=2)
    await world.until(lambda: world.condition("Verified").startswith("True") and world.status.undone is not None)
    assert world.events == ["Normal Started", "Normal RequestAccepted"]


async def test_a_step_that_stays_undecided() -> None:
    world = await wanting("2.0.0")
    world.requests = 0
    await world.until(lambda: world.condition("Paused") == "True/Undecided")
    await world.run(10)
    assert world.events == ["Normal Started", "Warning Undecided"]


async def test_nodes_that_come_and_go_leave_no_event() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    for _ in range(3):
        world.devices["board-1"].active = None
        world.devices["board-2"].online = False
        await world.run(8)
        world.devices["board-2"].online = True
        await world.run(8)
    assert world.condition("Ready") == "True/Promoted"
    assert world.events == FIRST


async def test_a_version_without_evidence_is_told_once() -> None:
    world = FakeWorld()
    version = next(manifest for key, manifest in world.objects.items() if key.kind == "ModelVersion")
    targets, version["status"]["targets"] = version["status"]["targets"], []
    await world.run(10)
    version["status"]["targets"] = targets
    await promoted(world, "1.0.0")
    assert world.events == ["Warning NoEvidence", *FIRST]


async def test_a_deletion() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.events.clear()
    world.rollout["metadata"]["deletionTimestamp"] = world.now.isoformat()
    await world.run(3)
    assert world.rollout["metadata"]["finalizers"] == []
    assert world.events == ["Normal Withdrawing"]
