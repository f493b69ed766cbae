"""Trouble around a Rollout: a Fleet that is missing, a restored cluster, nodes that join, late evidence, a store that does not answer."""

from __future__ import annotations

import contextlib
import copy

import pytest

from bramble.contracts.canonical import canonical_json
from bramble.errors import StoreUnavailable
from bramble.kinds.rollout.decision import Decision
from bramble.kinds.rollout.gather import gather
from bramble.kinds.rollout.observed import Observed
from bramble.kube.resources import Key
from tests.unit.rollout.world import FakeDevice, FakeSources, FakeWorld, package_digest, promoted


def fleet(world: FakeWorld) -> dict[str, object]:
    return world.objects[Key("Fleet", "", "demo")]


@pytest.mark.parametrize("away", ["missing", "invalid", "not allowed"])
async def test_a_fleet_that_is_away_takes_no_model_from_its_devices(away: str) -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    kept = copy.deepcopy(fleet(world))
    if away == "missing":
        del world.objects[Key("Fleet", "", "demo")]
    elif away == "invalid":
        fleet(world)["spec"] = {**kept["spec"], "boards": []}  # type: ignore[dict-item]
    else:
        fleet(world)["spec"] = {**kept["spec"], "allowedNamespaces": []}  # type: ignore[dict-item]
    before = world.assignment
    await world.run(5)
    assert world.assignment == before
    assert set(world.active().values()) == {"1.0.0"}
    assert world.condition("Ready").startswith("False/Fleet")
    world.objects[Key("Fleet", "", "demo")] = kept
    await promoted(world, "1.0.0")


@pytest.mark.parametrize("action", ["promote", "skip"])
async def test_a_candidate_goes_no_further_on_a_fleet_that_does_not_allow_its_namespace_any_more(action: str) -> None:
    world = await promoted(FakeWorld(guardrails=[]), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.step_started_at != "" and "2.0.0" in world.active().values())
    kept = copy.deepcopy(fleet(world))
    fleet(world)["spec"] = {**kept["spec"], "allowedNamespaces": []}  # type: ignore[dict-item]
    world.ask(id="a", action=action)
    await world.run(20)
    assert world.status.last_request.result == "Refused"  # type: ignore[union-attr]
    assert list(world.active().values()).count("2.0.0") == 1
    assert world.condition("Ready") == "False/FleetNotAllowed"
    world.objects[Key("Fleet", "", "demo")] = kept
    await promoted(world, "2.0.0")


async def test_a_step_that_had_begun_when_the_namespace_was_taken_off_the_fleet_is_not_told_to_the_devices() -> None:
    world = await promoted(FakeWorld(guardrails=[]), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.attempt == 2 and world.status.step_started_at != "")
    while world.status.step == 0:
        world.live()
        await world.step()
    fleet(world)["spec"] = {**fleet(world)["spec"], "allowedNamespaces": []}  # type: ignore[dict-item]
    await world.run(5)
    assert list(world.active().values()).count("2.0.0") == 1
    world.ask(id="a", action="abort")
    await world.run(3)
    assert set(world.active().values()) == {"1.0.0"}


async def test_a_bad_candidate_is_taken_back_though_the_fleet_is_away() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: "2.0.0" in world.active().values())
    del world.objects[Key("Fleet", "", "demo")]
    world.ask(id="a", action="abort", attempt=2)
    await world.run(5)
    assert set(world.active().values()) == {"1.0.0"}


async def test_devices_that_have_seen_a_higher_seq_are_answered_with_one_higher_still() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    for device in world.devices.values():
        device.seq = 90
    await world.run(3)
    assert world.assignment is not None
    assert world.assignment.seq > 90
    assert world.status.seq == world.assignment.seq


async def test_no_canary_is_added_in_the_middle_of_a_bake() -> None:
    world = await promoted(FakeWorld(steps=[{"nodes": "50%", "bake": "60s"}, {"nodes": "100%", "bake": "5s"}]), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.step_started_at != "" and world.status.attempt == 2)
    assert world.assignment is not None
    canaries = world.assignment.candidate_nodes
    for number in (5, 6):
        node = f"board-{number}"
        world.devices[node] = FakeDevice(node)
        like = world.objects[Key("Node", "", "board-1")]
        world.objects[Key("Node", "", node)] = {**like, "metadata": {**like["metadata"], "name": node, "uid": node}}
    await world.run(5)
    assert world.assignment is not None
    assert len(canaries) == 2
    assert world.assignment.candidate_nodes == canaries
    assert set(world.assignment.nodes["virtual"]) == {f"board-{n}" for n in range(1, 7)}


def add_board(world: FakeWorld) -> None:
    """Two nodes of another board join the fleet."""
    spec = fleet(world)["spec"]
    assert isinstance(spec, dict)
    spec["boards"] = [*spec["boards"], {"name": "rpi4", "selector": {"b": "4"}}]
    for node in ("pi-1", "pi-2"):
        world.devices[node] = FakeDevice(node, board="rpi4")
        like = world.objects[Key("Node", "", "board-1")]
        labels = {**like["metadata"]["labels"], "bramble.dev/agent": "demo.rpi4"}
        world.objects[Key("Node", "", node)] = {**like, "metadata": {**like["metadata"], "name": node, "uid": node, "labels": labels}}


async def test_a_board_whose_evidence_comes_later_is_served_then() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    add_board(world)
    await world.run(5)
    assert world.condition("Ready") == "False/NoEvidence"
    assert set(world.active().values()) == {"1.0.0", ""}
    targets = world.objects[Key("ModelVersion", "digits", "digits-1-0-0")]["status"]["targets"]
    targets.append({**targets[0], "board": "rpi4"})
    await promoted(world, "1.0.0")
    await world.run(3)
    assert set(world.active().values()) == {"1.0.0"}
    assert world.status.attempt == 1


async def test_nodes_lost_to_a_first_version_stop_it() -> None:
    world = FakeWorld(nodes=8, steps=[{"nodes": 2, "bake": "60s"}, {"nodes": "100%", "bake": "5s"}])
    await world.until(lambda: world.status.step_started_at != "")
    for node, version in world.active().items():
        world.devices[node].online = version == ""
    await world.until(lambda: world.status.undone is not None, passes=30)
    assert world.status.undone is not None
    assert world.status.undone.reason == "Lost"


@pytest.mark.parametrize(("action", "kept"), [("skip", "2-0-nextstep.json"), ("promote", "2-0-nextstep.json"), ("abort", "2-0-undo.json")])
async def test_what_a_person_decided_is_kept_with_its_evidence_too(action: str, kept: str) -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.step_started_at != "" and world.status.attempt == 2)
    world.ask(id="a", action=action, attempt=2)
    await world.run(5)
    (key,) = [key for key in world.files if key.endswith(f"/{kept}")]
    decision = Decision.model_validate_json(world.files[key])
    assert decision.reason == "Requested"
    assert decision.reproduces()


async def test_an_assignment_that_somebody_edited_is_written_again() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    key = next(key for key in world.objects if key.kind == "ConfigMap")
    before = world.assignment
    world.objects[key]["data"] = {"assignment.json": "{"}
    await world.run(3)
    assert before is not None
    assert world.assignment is not None
    assert world.assignment.seq >= before.seq
    assert set(world.active().values()) == {"1.0.0"}


async def test_an_assignment_that_another_rollout_left_is_taken_over() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    key = next(key for key in world.objects if key.kind == "ConfigMap")
    left = world.assignment
    assert left is not None
    world.objects[key]["data"] = {"assignment.json": canonical_json(left.model_copy(update={"rollout_uid": "gone"})).decode()}
    world.objects[key]["metadata"]["labels"]["bramble.dev/owner-uid"] = "gone"
    await world.run(3)
    assert world.assignment is not None
    assert world.assignment.rollout_uid == world.rollout["metadata"]["uid"]
    assert world.assignment.seq > left.seq
    assert world.objects[key]["metadata"]["labels"]["bramble.dev/owner-uid"] == world.rollout["metadata"]["uid"]


async def test_one_board_of_many_that_gave_the_candidate_up_stops_nobody() -> None:
    world = await promoted(FakeWorld(nodes=30, steps=[{"nodes": 24, "bake": "5s"}, {"nodes": "100%", "bake": "5s"}]), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.attempt == 2 and bool(world.assignment and world.assignment.candidate_nodes))
    assert world.assignment is not None
    gone = world.devices[world.assignment.candidate_nodes[0]]
    gone.abandons = frozenset({package_digest("2.0.0")})
    await world.until(lambda: world.status.stable is not None and world.status.stable.version == "2.0.0")
    await world.run(5)
    assert set(world.active().values()) == {"2.0.0"}, "the node serves it as the stable version"


async def test_devices_of_another_fleet_and_impossible_seqs_are_not_believed() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    before = world.status.seq
    world.devices["board-1"].seq = 2**53 - 1
    world.devices["stranger"] = FakeDevice("stranger", seq=before + 50, attempt=1, active=package_digest("1.0.0"))
    world.devices["stranger"].serve(1000, 1.0)
    await world.run(5)
    assert world.status.seq == before
    seen = await world.observe()
    history = [node.history[0] for node in seen.ledger.nodes.values()]
    assert sum(events for _, events in history) > 0
    assert sum(wrong for wrong, _ in history) == 0, "the stranger's thousand wrong answers count for nothing"


async def test_the_undo_of_a_first_version_is_verified_too() -> None:
    world = FakeWorld(nodes=8, steps=[{"nodes": 4, "bake": "60s"}, {"nodes": "100%", "bake": "5s"}])
    await world.until(lambda: world.status.step_started_at != "")
    world.ask(id="a", action="abort", attempt=1)
    await world.until(lambda: world.status.undone is not None)
    assert world.condition("Verified") == "False/Verifying"
    await world.run(3)
    assert set(world.active().values()) == {""}
    assert world.condition("Verified") == "True/NothingServed"


async def test_a_rollout_whose_fleet_is_away_still_waits_for_its_devices() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    del world.objects[Key("Fleet", "", "demo")]
    world.rollout["metadata"]["deletionTimestamp"] = world.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    for device in world.devices.values():
        device.online = False
    await world.run(3)
    assert world.assignment is None
    assert world.rollout["metadata"]["finalizers"], "no device has reported that it stopped"


async def test_an_older_rollout_that_learns_its_model_later_takes_no_fleet_from_the_one_that_serves() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    older = copy.deepcopy(world.rollout)
    older["metadata"] |= {"name": "older", "uid": "older", "creationTimestamp": "2026-11-20T10:00:00Z"}
    older["spec"]["modelVersionRef"] = {"name": "digits-2-0-0"}
    del older["status"]
    world.objects[Key("Rollout", "digits", "older")] = older
    world.add_version("2.0.0")
    await world.run(3)
    assert world.condition("Ready") == "True/Promoted"
    assert set(world.active().values()) == {"1.0.0"}
    seen = await gather(Key("Rollout", "digits", "older"), FakeSources(world))
    assert isinstance(seen, Observed)
    assert seen.rival == "digits"


async def test_of_two_rollouts_that_no_device_hears_the_older_has_the_fleet() -> None:
    world = FakeWorld()
    older = copy.deepcopy(world.rollout)
    older["metadata"] |= {"name": "older", "uid": "older", "creationTimestamp": "2026-11-20T10:00:00Z"}
    world.objects[Key("Rollout", "digits", "older")] = older
    await world.run(3)
    assert world.condition("Ready") == "False/Superseded"
    assert world.assignment is None


def restored(world: FakeWorld) -> None:
    """The Rollout as a backup brings it back: with another uid, and without its status."""
    world.rollout["metadata"]["uid"] = "restored"
    world.rollout["metadata"]["finalizers"] = []
    del world.rollout["status"]


async def test_a_restored_rollout_takes_no_model_from_its_devices() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    restored(world)
    for _ in range(10):
        await world.run(1)
        assert set(world.active().values()) == {"1.0.0"}
    assert world.status.stable is not None
    assert world.status.stable.ref == "digits-1-0-0"
    assert world.status.attempt == 1
    assert world.assignment is not None
    assert world.assignment.rollout_uid == "restored"


async def test_a_restored_rollout_that_wants_another_version_tries_it_on_canaries_first() -> None:
    world = await promoted(FakeWorld(steps=[{"nodes": 1, "bake": "10s"}, {"nodes": "100%", "bake": "10s"}]), "1.0.0")
    restored(world)
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.step_started_at != "")
    assert sorted(world.active().values()) == ["1.0.0", "1.0.0", "1.0.0", "2.0.0"]
    await promoted(world, "2.0.0")
    assert world.status.last_good is not None
    assert world.status.last_good.ref == "left-by-an-earlier-rollout"


async def test_while_the_store_is_away_no_step_ends_and_a_bad_candidate_is_still_undone() -> None:
    world = await promoted(
        FakeWorld(steps=[{"nodes": 1, "bake": "5s"}, {"nodes": "50%", "bake": "5s"}, {"nodes": "100%", "bake": "5s"}]), "1.0.0"
    )
    world.wrong = {"1.0.0": 0.02, "2.0.0": 0.02}
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.attempt == 2 and world.status.step == 1 and world.status.decision_filed)
    world.store_away = True
    for _ in range(40):
        with contextlib.suppress(StoreUnavailable):
            await world.step()
        world.live()
    assert world.status.step == 2, "the step that was under way ends, and the next one waits until its decision is filed"
    assert world.condition("Aborted") == "False/NotAborted"
    world.wrong["2.0.0"] = 0.9
    for _ in range(60):
        with contextlib.suppress(StoreUnavailable):
            await world.step()
        world.live()
    assert world.status.undone is not None
    assert set(world.active().values()) == {"1.0.0"}
    assert not world.status.decision_filed
    assert world.condition("Aborted") == "True/GuardrailFailed", "the status does not wait for the store"
    assert world.condition("Verified") == "True/ByDigest", "the status does not wait for the store"
    world.store_away = False
    await world.run(3)
    assert world.status.decision_filed


async def test_a_rollout_ends_though_its_store_is_gone() -> None:
    world = await promoted(FakeWorld(), "1.0.0")
    world.store_away = True
    world.rollout["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    for _ in range(40):
        if not world.rollout["metadata"].get("finalizers"):
            break
        await world.step()
        world.live()
    assert world.assignment is None
    assert not world.rollout["metadata"].get("finalizers")


async def test_a_candidate_is_taken_back_for_a_version_that_cannot_be_read_from_the_store() -> None:
    world = await promoted(FakeWorld(steps=[{"nodes": 1, "bake": "60s"}, {"nodes": "100%", "bake": "5s"}]), "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.candidate is not None and "2.0.0" in world.active().values())
    world.store_away = True
    world.add_version("3.0.0")
    world.want("3.0.0")
    for _ in range(10):
        with contextlib.suppress(StoreUnavailable):
            await world.step()
        world.live()
    assert world.status.candidate is None
    assert set(world.active().values()) == {"1.0.0"}


async def test_filing_a_decision_delays_nothing() -> None:
    world = await promoted(FakeWorld(steps=[{"nodes": "100%", "bake": "5s"}]), "1.0.0")
    await world.run(3)  # with only one step, what is compared with is what the stable version has done so far
    world.add_version("2.0.0")
    world.want("2.0.0")
    await world.until(lambda: world.status.stable is not None and world.status.stable.ref == "digits-2-0-0")
    at = world.now
    await world.until(lambda: world.condition("Ready") == "True/Promoted")
    assert (world.now - at).total_seconds() <= 5
    assert world.status.decision_filed
