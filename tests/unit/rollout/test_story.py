"""Whole rollouts, pass after pass: the real gather and plan around a simulated fleet."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble.kinds.rollout.decision import Decision
from tests.unit.rollout.world import FakeWorld, promoted


async def test_a_first_version_is_paced_over_the_fleet() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    assert set(world.active().values()) == {"1.0.0"}
    assert [len(assignment.candidate_nodes) for assignment in world.assigned] == [1, 2, 4, 0]


async def test_a_better_version_is_promoted_step_by_step() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.wrong = {"1.0.0": 0.2, "2.0.0": 0.05}
    world.add_version("2.0.0")
    world.want("2.0.0")
    await promoted(world, "2.0.0")
    assert set(world.active().values()) == {"2.0.0"}
    assert world.status.last_good is not None
    assert world.status.last_good.ref == "digits-1-0-0"


async def undone(world: FakeWorld, share: float = 0.5) -> FakeWorld:
    world.wrong = {"2.0.0": share, "1.0.0": 0.02}
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.undone is not None and world.condition("Verified").startswith("True"))
    return world


async def test_a_worse_version_is_undone_at_the_canary_and_every_board_verified() -> None:
    world = await undone(await promoted(FakeWorld(), "1.0.0"))
    assert set(world.active().values()) == {"1.0.0"}
    assert max(len(each.candidate_nodes) for each in world.assigned if each.attempt == 2) == 1
    assert world.condition("Aborted") == "True/GuardrailFailed"
    assert world.status.phase == "Degraded"
    assert "accuracy: 50 % of" in world.status.undone.message  # type: ignore[union-attr]


async def test_a_candidate_that_starts_again_all_the_time_is_counted_whole() -> None:
    """Every answer of a process is wrong but the first ones, as with a leak. The ledger is stored less often than the process ends."""
    world = await promoted(FakeWorld(6), "1.0.0")
    world.rollout["spec"]["strategy"]["canary"]["steps"] = [{"nodes": 2, "bake": "1h"}, {"nodes": "100%"}]
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: bool(world.status.step_started_at))
    canaries = [device for device in world.devices.values() if device.cohort == "candidate"]

    async def counted() -> int:
        return (await world.observe()).evidence[1].candidate.events

    before, passes = await counted(), 40
    for passed in range(passes):
        world.live()
        await world.step()
        if passed % 4 == 3:
            for device in canaries:
                device.crash()
    assert await counted() - before == passes * len(canaries) * world.requests


async def test_a_candidate_that_ceases_to_answer_is_not_promoted() -> None:
    """Its first node has answered enough for every guardrail. Those of the second step answer nothing, while stable nodes do."""
    world = await promoted(FakeWorld(12), "1.0.0")
    await world.run(20)
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.step == 1)
    world.mute = "candidate"
    await world.run(30)
    assert (world.status.step, world.condition("Progressing")) == (1, "True/CollectingEvidence")
    said = json.dumps(world.status.conditions)
    assert "5 of 6 candidate nodes had no labelled predictions so far, though stable nodes did in the same time" in said
    world.mute = ""
    await promoted(world, "2.0.0")


async def test_a_candidate_that_answers_nothing_is_not_promoted_undecided_either() -> None:
    world = FakeWorld(12)
    world.rollout["spec"]["analysis"].update(onUndecided="Promote", deadline="30s")
    await promoted(world, "1.0.0")
    await world.run(20)
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.step == 1)
    world.mute = "candidate"
    await world.until(lambda: world.condition("Paused") == "True/Undecided")
    assert world.status.step == 1
    assert "5 of 6 candidate nodes had no labelled predictions so far" in json.dumps(world.status.conditions)


async def test_a_fleet_that_gets_no_requests_at_the_time_is_not_held_up() -> None:
    world = await promoted(FakeWorld(12), "1.0.0")
    await world.run(20)
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.step == 1)
    world.requests = 0
    await promoted(world, "2.0.0")
    assert world.status.stable is not None
    assert world.status.stable.version == "2.0.0"


RECALL = {"metric": "recall", "label": "a", "maxRatio": "1.5", "ceiling": "0.1", "limit": "0.3", "minEvents": 50}


async def test_a_version_that_misses_a_class_is_undone() -> None:
    world = await undone(await promoted(FakeWorld(guardrails=[RECALL]), "1.0.0"))
    assert world.condition("Aborted") == "True/GuardrailFailed"
    message = world.status.undone.message  # type: ignore[union-attr]
    assert message.startswith("recall of 'a': 50 % of ")
    assert "predictions of this true class were answered otherwise on candidate nodes, 2 % of" in message
    analysis = world.status.analysis or {}
    assert [(each["metric"], each.get("label")) for each in analysis["guardrails"]] == [("lost", None), ("recall", "a")]
    assert Decision.model_validate(world.status.decision).reproduces()


async def test_a_version_that_finds_a_class_as_often_is_promoted() -> None:
    world = await promoted(FakeWorld(guardrails=[RECALL]), "1.0.0")
    world.wrong = {"1.0.0": 0.05, "2.0.0": 0.05}
    world.add_version("2.0.0")
    world.want("2.0.0")
    await promoted(world, "2.0.0")
    assert set(world.active().values()) == {"2.0.0"}


async def test_a_class_that_a_version_does_not_have_is_told_before_any_node_has_it() -> None:
    world = await promoted(FakeWorld(guardrails=[RECALL]), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    world.rollout["spec"]["analysis"]["guardrails"] = [{**RECALL, "label": "zebra"}]
    await world.until(lambda: world.condition("Ready") == "False/ClassNotCounted")
    await world.run(5)
    assert (world.status.attempt, set(world.active().values())) == (1, {"1.0.0"})
    assert world.events.count("Warning ClassNotCounted") == 1
    world.rollout["spec"]["analysis"]["guardrails"] = [RECALL]
    await promoted(world, "2.0.0")


async def test_a_kept_decision_gives_the_same_verdict_again() -> None:
    world = await undone(await promoted(FakeWorld(), "1.0.0"))
    kept = {key: content for key, content in world.files.items() if key.startswith("decisions/") and key.endswith(".json")}
    assert [key.rsplit("/", 1)[1] for key in sorted(kept)] == [
        "1-0-nextstep.json",
        "1-1-nextstep.json",
        "1-2-promote.json",
        "2-0-undo.json",
    ]
    decision = Decision.model_validate(json.loads(kept[max(kept)]))
    assert decision.reproduces()
    assert decision.judgement.verdict == "Fail"


async def test_what_was_undone_is_not_tried_again_until_somebody_asks() -> None:
    world = await undone(await promoted(FakeWorld(), "1.0.0"))
    await world.run(20)
    assert world.status.attempt == 2
    world.wrong["2.0.0"] = 0.0
    world.ask(id="again", action="retry", attempt=2)
    await promoted(world, "2.0.0")
    assert world.status.attempt == 3
    assert world.status.last_request.result == "Accepted"  # type: ignore[union-attr]


async def test_back_to_stable_is_an_immediate_undo_without_a_new_attempt() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: "2.0.0" in world.active().values())
    world.want("1.0.0")
    await promoted(world, "1.0.0")
    assert set(world.active().values()) == {"1.0.0"}
    assert world.status.attempt == 2


async def test_a_new_reference_midway_takes_the_candidate_back_first() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.add_version("2.0.0")
    world.add_version("3.0.0")
    world.want("2.0.0")
    await world.until(lambda: "2.0.0" in world.active().values())
    world.want("3.0.0")
    mixed = 0
    for _ in range(200):
        await world.step()
        world.live()
        mixed = max(mixed, len({"2.0.0", "3.0.0"} & set(world.active().values())))
    assert mixed == 1
    assert set(world.active().values()) == {"3.0.0"}


async def test_canaries_that_fall_silent_are_lost_and_their_version_undone() -> None:
    world = await promoted(FakeWorld(steps=[{"nodes": 2, "bake": "10s"}, {"nodes": "100%", "bake": "10s"}]), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: "2.0.0" in world.active().values() and world.status.step_started_at != "")
    canaries = tuple(sorted(node for node, version in world.active().items() if version == "2.0.0"))
    for canary in canaries:
        world.devices[canary].online = False
    await world.until(lambda: world.status.undone is not None)
    assert world.status.undone.reason == "Lost"  # type: ignore[union-attr]
    await world.until(lambda: world.condition("Verified").startswith("True"))
    assert world.status.nodes.unreachable == canaries  # type: ignore[union-attr]


async def test_an_only_canary_that_falls_silent_holds_its_step_until_the_deadline() -> None:
    """Any node may die, and a version that kills its only canary goes no further."""
    world = await promoted(FakeWorld(steps=[{"nodes": 1, "bake": "60s"}, {"nodes": "100%", "bake": "10s"}], guardrails=[]), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: "2.0.0" in world.active().values() and world.status.step_started_at != "")
    next(device for node, device in world.devices.items() if world.active()[node] == "2.0.0").online = False
    await world.until(lambda: world.condition("Paused") == "True/Undecided")
    assert (world.status.step, world.status.undone) == (0, None)


async def test_silence_proves_nothing_while_the_gateway_is_young() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: "2.0.0" in world.active().values() and world.status.step_started_at != "")
    world.proves_silence = False
    for device in world.devices.values():
        device.online = False
    await world.run(30)
    assert world.status.undone is None


async def test_a_refusing_device_undoes_at_once() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.add_version("2.0.0")
    for device in world.devices.values():
        device.refuses = frozenset({next(t["package"] for t in _targets(world, "2.0.0"))})
    world.want("2.0.0")
    await world.until(lambda: world.status.undone is not None)
    assert world.status.undone.reason == "Refused"  # type: ignore[union-attr]
    assert "golden case 3" in world.status.undone.message  # type: ignore[union-attr]


def _targets(world: FakeWorld, version: str) -> list[dict[str, str]]:
    found = next(m for key, m in world.objects.items() if key.kind == "ModelVersion" and m["spec"]["version"] == version)
    return list(found["status"]["targets"])


async def test_a_pause_waits_for_a_person() -> None:
    world = FakeWorld(steps=[{"nodes": 1, "bake": "5s"}, {"pause": {}}, {"nodes": "100%", "bake": "5s"}])
    await world.until(lambda: world.condition("Paused") == "True/PauseStep")
    assert list(world.active().values()).count("1.0.0") == 1
    world.ask(id="a", action="resume", attempt=7)
    await world.step()
    assert world.status.last_request.result == "Refused"  # type: ignore[union-attr]
    world.ask(id="b", action="resume", attempt=1, step=1)
    await promoted(world, "1.0.0")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"id": "1", "action": "skip"}, "no version is being tried"),
        ({"id": "1", "action": "retry"}, "nothing was undone"),
        ({"id": "1", "action": "dance"}, "unknown to a Rollout"),
        ({"id": "1", "action": "abort", "step": "x"}, "write a whole number"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_once_and_says_why(request_: dict[str, object], said: str) -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.ask(**request_)
    for _ in range(3):
        await world.step()
    assert world.status.last_request.result == "Refused"  # type: ignore[union-attr]
    assert said in world.status.last_request.message  # type: ignore[union-attr]
    assert world.events.count("Warning RequestRefused") == 1


async def test_a_joiner_gets_the_stable_version_until_the_last_step() -> None:
    world = await promoted(FakeWorld(nodes=4), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.step == 1 and world.status.step_started_at != "")
    before = world.assignment
    extra = FakeWorld(nodes=5)
    world.devices["board-5"] = extra.devices["board-5"]
    key = next(key for key in extra.objects if key.name == "board-5")
    world.objects[key] = extra.objects[key]
    for _ in range(2):  # the seq first, then the assignment
        await world.step()
    assert before is not None
    assert world.assignment is not None
    assert "board-5" in world.assignment.nodes["virtual"]
    assert set(before.candidate_nodes) <= set(world.assignment.candidate_nodes)
    assert "board-5" not in world.assignment.candidate_nodes


async def test_without_evidence_for_a_board_nothing_begins_and_the_board_is_named() -> None:
    world = FakeWorld()
    world.objects[next(k for k in world.objects if k.kind == "ModelVersion")]["status"]["targets"] = []
    for _ in range(3):
        await world.step()
    assert world.condition("Ready") == "False/NoEvidence"
    assert "board virtual" in world.status.conditions[0]["message"]
    assert world.assignment is None


async def test_deleting_takes_the_model_off_the_devices_then_lets_go() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.rollout["metadata"]["deletionTimestamp"] = world.now.isoformat()
    await world.step()
    assert world.assignment is None
    await world.step()
    assert world.rollout["metadata"]["finalizers"] == []


async def test_a_node_that_never_answers_holds_a_deletion_ten_minutes() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    silent = world.devices["board-1"]
    silent.online, silent.age = False, 60.0
    world.rollout["metadata"]["deletionTimestamp"] = world.now.isoformat()
    await world.step()
    await world.step()
    assert world.rollout["metadata"]["finalizers"] != []
    world.live(seconds=601)
    await world.step()
    assert world.rollout["metadata"]["finalizers"] == []


@settings(max_examples=60)
@given(deaths=st.lists(st.integers(0, 3), max_size=40), offline=st.sets(st.integers(1, 4), max_size=2), bad=st.booleans())
async def test_whatever_dies_between_two_writes_the_end_is_the_same(deaths: list[int], offline: set[int], bad: bool) -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.wrong = {"2.0.0": 0.6 if bad else 0.0, "1.0.0": 0.02}
    world.add_version("2.0.0")
    world.want("2.0.0")
    for writes in deaths:
        await world.step(writes)
        world.live()
    for number in offline:
        world.devices[f"board-{number}"].online = True
    await world.until(lambda: world.status.undone is not None if bad else world.condition("Ready") == "True/Promoted")
    await world.until(lambda: world.condition("Verified").startswith("True"))
    assert set(world.active().values()) == {"1.0.0" if bad else "2.0.0"}
    sequence = [assignment.seq for assignment in world.assigned]
    assert sequence == sorted(set(sequence))
    assert world.status.attempt == 2
