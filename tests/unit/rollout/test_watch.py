"""A version goes on being watched after its promotion, and is undone when it turns bad."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble.api.objects import moment
from bramble.contracts.store import blob_key
from bramble.engine.clock import ClusterClock
from bramble.errors import StoreUnavailable
from bramble.kinds.rollout.decision import Decision
from bramble.kube.resources import FLEET, MODEL_VERSION, Key
from tests.unit.rollout.world import FakeWorld, package_digest, promoted

row = pytest.param
GUARDRAILS = [{"metric": "accuracy", "maxRatio": "1.5", "ceiling": "0.1", "limit": "0.9", "minEvents": 50}]
FIRST, SECOND = (Key(MODEL_VERSION.kind, "digits", f"digits-{number}-0-0") for number in (1, 2))


async def watched(for_: str = "always", nodes: int = 4, **watch: Any) -> FakeWorld:
    """2.0.0 was promoted after 1.0.0, and is watched; one answer in fifty of either is wrong."""
    world = FakeWorld(nodes=nodes, guardrails=GUARDRAILS)
    world.rollout["spec"]["analysis"]["watch"] = {"for": for_, **watch}
    world.wrong = {"1.0.0": 0.02, "2.0.0": 0.02, "3.0.0": 0.02}
    await promoted(world, "1.0.0")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await promoted(world, "2.0.0")
    await world.run(3)
    return world


def undone(world: FakeWorld) -> bool:
    return set(world.active().values()) == {"1.0.0"} and world.condition("Verified").startswith("True")


async def test_a_version_that_turns_bad_after_its_promotion_is_undone_in_one_write() -> None:
    world = await watched()
    writes = len(world.assigned)
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: undone(world))
    await world.run(30)
    assert len(world.assigned) == writes + 1
    assert world.assigned[-1].candidate is None
    assert (world.condition("Ready"), world.condition("Aborted")) == ("False/Undone", "True/WatchFailed")
    assert world.status.phase == "Degraded"
    assert world.events.count("Warning Undone") == 1
    assert world.status.undone is not None
    assert "digits-2-0-0 was promoted and turned bad: accuracy:" in world.status.undone.message
    assert "the fleet goes back to digits-1-0-0" in world.status.undone.message
    assert world.status.watch is None, "what the fleet has gone back to is not watched"


async def test_the_decision_and_the_incident_report_are_filed_and_give_the_same_verdict_again() -> None:
    world = await watched()
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: undone(world) and world.status.decision_filed)
    (key,) = (key for key in world.files if key.endswith("-undo.json"))
    decision = Decision.model_validate_json(world.files[key])
    assert decision.reproduces()
    assert (decision.action, decision.reason) == ("Undo", "WatchFailed")
    assert (decision.stable, decision.candidate) == ("digits-1-0-0", "digits-2-0-0")
    assert [verdict.verdict for verdict in decision.judgement.guardrails] == ["Fail"]
    report = world.files[key.removesuffix(".json") + ".md"].decode()
    assert "digits-2-0-0 was undone on fleet demo" in report


async def test_a_version_that_stays_as_it_was_is_not_undone() -> None:
    world = await watched()
    await world.run(100)
    assert set(world.active().values()) == {"2.0.0"}
    assert world.condition("Ready") == "True/Promoted"
    watch = world.status.watch
    assert watch is not None
    (verdict,) = watch["guardrails"]
    assert (watch["version"], watch["state"], watch["until"], verdict["verdict"]) == ("digits-2-0-0", "Watching", "always", "Undecided")
    assert verdict["candidateRate"] == verdict["stableRate"] == pytest.approx(0.02)
    assert "not shown to be above" in verdict["message"]


async def test_a_rate_below_the_ceiling_never_undoes() -> None:
    world = await watched(guardrails=[{"metric": "accuracy", "ceiling": "0.3", "minEvents": 50}])
    world.wrong["2.0.0"] = 0.2
    await world.run(60)
    assert set(world.active().values()) == {"2.0.0"}
    world.rollout["spec"]["analysis"]["watch"]["guardrails"] = [{"metric": "accuracy", "maxRatio": "1.5", "minEvents": 50}]
    await world.run(50)
    assert set(world.active().values()) == {"2.0.0"}, "its own rate is that of the present then"
    world.wrong["2.0.0"] = 0.9
    await world.until(lambda: undone(world))


async def test_a_limit_undoes_before_its_own_rate_is_known() -> None:
    world = await watched(guardrails=[{"metric": "accuracy", "maxRatio": "1.5", "limit": "0.3", "minEvents": 1_000_000}])
    assert world.status.watch is not None
    said = world.status.watch["guardrails"][0]["message"]
    assert "1000000 labelled predictions so far to know its own rate (" in said
    assert "more at the present rate); only the limit is watched" in said
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: undone(world))
    assert "above the limit of 30 %" in world.status.undone.message  # type: ignore[union-attr]


async def test_a_guardrail_with_a_limit_only_is_not_compared_with_its_own_rate() -> None:
    world = await watched(guardrails=[{"metric": "accuracy", "limit": "0.5", "minEvents": 50}])
    world.wrong["2.0.0"] = 0.3
    await world.run(20)
    assert set(world.active().values()) == {"2.0.0"}, "fifteen times its own rate, and below the limit"
    assert world.status.watch is not None
    assert "not shown to be above the limit of 50 %" in world.status.watch["guardrails"][0]["message"]
    world.wrong["2.0.0"] = 0.9
    await world.until(lambda: undone(world))


@pytest.mark.parametrize("nodes", [4, 12])
async def test_one_node_that_breaks_by_itself_undoes_nothing(nodes: int) -> None:
    world = await watched(nodes=nodes, guardrails=[{"metric": "accuracy", "maxRatio": "1.5", "minEvents": 50, "limit": "0.2"}])
    broken = world.devices["board-2"]
    for _ in range(100):
        await world.step()
        world.live()
        broken.serve(50, 1.0)
    assert set(world.active().values()) == {"2.0.0"}
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: undone(world))


async def test_a_watch_ends() -> None:
    world = await watched(for_="10m")
    assert world.status.watch is not None
    assert world.status.watch["until"] > world.status.watch["since"]
    world.now += timedelta(minutes=10)
    await world.step()
    assert world.status.watch["state"] == "Over"
    world.wrong["2.0.0"] = 0.5
    await world.run(50)
    assert set(world.active().values()) == {"2.0.0"}


@pytest.mark.parametrize("error", [timedelta(hours=6), timedelta(hours=-6)], ids=["ahead", "behind"])
async def test_a_leader_whose_wall_clock_is_wrong_or_is_set_neither_ends_nor_prolongs_a_watch(error: timedelta) -> None:
    world = await watched(for_="60m")
    promoted_at, began, since, wrong = moment(world.status.promoted_at), world.now, world.clock, [timedelta()]

    def true() -> datetime:
        return began + timedelta(seconds=world.clock - since)

    def leader() -> ClusterClock:
        return ClusterClock(lambda: world.clock, lambda: true() + wrong[0])

    clock, watch = leader(), dict[str, Any]()
    for pass_ in range(11):
        clock = leader() if pass_ == 5 else clock
        wrong[0] = timedelta() if pass_ in (0, 3) else error
        clock.heard(format_datetime(true().replace(microsecond=0), usegmt=True), 0.01)
        world.live(360)
        world.now = clock.now()
        await world.step()
        watch = world.status.watch or {}
        assert watch["state"] == ("Over" if true() >= promoted_at + timedelta(minutes=60) else "Watching")
    assert watch["state"] == "Over"


async def test_without_a_watch_nothing_is_judged() -> None:
    world = await watched()
    del world.rollout["spec"]["analysis"]["watch"]
    world.wrong["2.0.0"] = 0.5
    await world.run(50)
    assert set(world.active().values()) == {"2.0.0"}
    assert world.status.watch is None


async def test_a_watch_pauses_while_another_version_is_tried_and_goes_on_afterwards() -> None:
    world = await watched()
    world.add_version("3.0.0")
    world.wrong["3.0.0"] = 0.9
    world.want("3.0.0")
    await world.until(lambda: world.status.candidate is not None)
    await world.step()
    assert world.status.watch is not None
    assert world.status.watch["state"] == "Paused"
    await world.until(lambda: world.status.undone is not None and world.condition("Verified").startswith("True"))
    assert world.condition("Aborted") == "True/GuardrailFailed"
    world.want("2.0.0")
    await promoted(world, "2.0.0")
    assert world.status.watch["state"] == "Watching"
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: undone(world))


async def test_a_newer_version_that_waits_is_tried_once_the_bad_one_is_undone() -> None:
    world = await watched()
    world.add_version("3.0.0", ready=False)
    world.want("3.0.0")
    await world.run(2)
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: undone(world))
    assert world.status.undone is None, "3.0.0 is at no fault"
    world.add_version("3.0.0")
    await promoted(world, "3.0.0")
    assert world.status.last_good is not None
    assert world.status.last_good.ref == "digits-1-0-0"


async def test_a_version_that_was_undone_before_is_not_tried_again_when_the_stable_version_turns_bad() -> None:
    world = await watched()
    world.add_version("3.0.0")
    world.wrong["3.0.0"] = 0.95
    world.want("3.0.0")
    await world.until(lambda: world.status.undone is not None and world.condition("Verified").startswith("True"))
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: undone(world))
    await world.run(30)
    assert world.events.count("Warning Undone") == 2
    assert set(world.active().values()) == {"1.0.0"}
    assert world.status.undone is not None
    assert (world.status.undone.ref, world.status.undone.reason) == ("digits-3-0-0", "GuardrailFailed")
    ready = next(condition["message"] for condition in world.status.conditions if condition["type"] == "Ready")
    assert ready.startswith("digits-3-0-0: accuracy")
    assert "after that, digits-2-0-0 was promoted and turned bad" in ready


async def test_a_version_that_was_undone_is_not_so_any_more_once_the_fleet_has_gone_back_to_it() -> None:
    world = await watched()
    world.wrong["1.0.0"] = 0.95
    world.want("1.0.0")
    await world.until(lambda: world.status.undone is not None and world.condition("Verified").startswith("True"))
    assert set(world.active().values()) == {"2.0.0"}
    world.wrong |= {"1.0.0": 0.02, "2.0.0": 0.5}
    await world.until(lambda: undone(world))
    await world.run(5)
    assert (world.status.undone, world.condition("Ready")) == (None, "True/Promoted")


@settings(max_examples=8)
@given(st.lists(st.integers(0, 3), max_size=30), st.integers(0, 10))
async def test_whatever_dies_between_two_writes_a_version_that_turns_bad_is_undone_once(deaths: list[int], good: int) -> None:
    world = await watched()
    await world.run(good)
    writes = len(world.assigned)
    world.wrong["2.0.0"] = 0.5
    for death in deaths:
        await world.step(writes=death)
        world.live()
    await world.until(lambda: undone(world))
    await world.run(10)
    assert len({assignment.seq for assignment in world.assigned[writes:]}) <= 2
    assert [assignment.stable for assignment in world.assigned[writes:]][-1] == {"virtual": package_digest("1.0.0")}
    assert world.status.attempt == 3
    assert world.status.distrusted == ("ModelVersion-digits-2-0-0",)


def not_ready(world: FakeWorld) -> None:
    world.objects[FIRST]["status"]["conditions"][0]["status"] = "False"


def deleted(world: FakeWorld) -> None:
    del world.objects[FIRST]


def not_allowed(world: FakeWorld) -> None:
    world.objects[Key(FLEET.kind, "", "demo")]["spec"]["allowedNamespaces"] = ["another"]


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        row(not_ready, "False/CannotUndo", "is not Ready any more", id="the version before is not Ready any more"),
        row(deleted, "False/CannotUndo", "is deleted", id="the version before is deleted"),
        row(not_allowed, "False/FleetNotAllowed", "allowedNamespaces", id="the Fleet does not allow the namespace any more"),
    ],
)
async def test_where_the_fleet_cannot_go_back_a_person_has_to_act(change: Any, reason: str, said: str) -> None:
    world = await watched()
    change(world)
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: world.condition("Ready") == reason)
    await world.run(20)
    assert set(world.active().values()) == {"2.0.0"}
    assert said in next(each["message"] for each in world.status.conditions if each["type"] == "Ready")
    if reason == "False/CannotUndo":
        assert "Warning CannotUndo" in world.events
        world.add_version("3.0.0")
        world.want("3.0.0")
        await promoted(world, "3.0.0")


async def test_a_first_version_has_none_to_go_back_to() -> None:
    world = FakeWorld(guardrails=GUARDRAILS)
    world.rollout["spec"]["analysis"]["watch"] = {"for": "always"}
    world.wrong = {"1.0.0": 0.02}
    await promoted(world, "1.0.0")
    await world.run(3)
    world.wrong = {"1.0.0": 0.5}
    await world.until(lambda: world.condition("Ready") == "False/CannotUndo")
    assert set(world.active().values()) == {"1.0.0"}


async def test_no_watch_goes_back_to_a_version_that_turned_bad_and_could_not_be_undone() -> None:
    world = FakeWorld(guardrails=GUARDRAILS)
    world.rollout["spec"]["analysis"]["watch"] = {"for": "always"}
    world.wrong = {"1.0.0": 0.02, "2.0.0": 0.02}
    await promoted(world, "1.0.0")
    await world.run(3)
    world.wrong["1.0.0"] = 0.5
    await world.until(lambda: world.condition("Ready") == "False/CannotUndo")
    world.add_version("2.0.0")
    world.want("2.0.0")
    await promoted(world, "2.0.0")
    await world.run(3)
    world.wrong["2.0.0"] = 0.95
    await world.until(lambda: world.condition("Ready") == "False/CannotUndo")
    assert set(world.active().values()) == {"2.0.0"}


async def test_an_undo_needs_no_store() -> None:
    world = await watched()
    del world.files[blob_key(package_digest("1.0.0"))]
    world.store_away = True
    world.wrong["2.0.0"] = 0.5
    for _ in range(60):
        with suppress(StoreUnavailable):  # of the filing, which comes last
            await world.step()
        world.live()
    assert set(world.active().values()) == {"1.0.0"}


async def test_no_watch_goes_back_to_a_version_that_was_undone_after_its_promotion() -> None:
    world = await watched()
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: undone(world))
    world.wrong["2.0.0"] = 0.02
    world.ask(id="back", action="undo", to="digits-2-0-0")
    await promoted(world, "2.0.0")
    assert world.status.watch is None
    world.add_version("3.0.0")
    world.want("3.0.0")
    await promoted(world, "3.0.0")
    await world.run(3)
    world.wrong["3.0.0"] = 0.5
    await world.until(lambda: world.condition("Ready") == "False/CannotUndo")
    assert set(world.active().values()) == {"3.0.0"}
    assert "undone after its promotion as well" in world.status.conditions[0]["message"]


async def test_a_version_that_was_undone_may_be_promoted_again_by_request_and_is_watched_again() -> None:
    world = await watched()
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: undone(world))
    world.wrong["2.0.0"] = 0.02
    world.ask(id="again", action="retry")
    await promoted(world, "2.0.0")
    assert world.status.distrusted == ()
    await world.run(3)
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: undone(world))


async def test_operators_that_die_lose_nothing_of_a_watch() -> None:
    """The ledger that is stored, and the devices' sums, say the same as an operator that never died."""
    world = await watched()
    for number in range(40):
        await world.step(writes=number % 2)
        world.live()
    seen = await world.observe()
    assert seen.at(world.now).watch_judgement is not None
    counted = seen.at(world.now).watch_evidence[0].candidate.events
    served = sum(
        line.count("right", "wrong")
        for device in world.devices.values()
        for line in device.counters.values()
        if line.package == package_digest("2.0.0") and line.cohort == "stable"
    )
    assert served - 4 * 50 <= counted <= served
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: undone(world))


async def test_a_bad_version_is_named_while_the_fleet_does_not_allow_the_namespace() -> None:
    world = await watched()
    world.objects[Key(FLEET.kind, "", "demo")]["spec"]["allowedNamespaces"] = []
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: world.condition("Ready") == "False/CannotUndo")
    assert world.status.phase == "Degraded"
    said = next(each["message"] for each in world.status.conditions if each["type"] == "Ready")
    assert "digits-2-0-0 was promoted and turned bad" in said
    assert "spec.allowedNamespaces" in said


async def test_a_bad_version_is_named_while_the_spec_names_one_that_is_deleted() -> None:
    world = await watched()
    del world.objects[FIRST]
    world.want("1.0.0")
    world.wrong["2.0.0"] = 0.5
    await world.until(lambda: world.condition("Ready") == "False/CannotUndo")
    said = next(each["message"] for each in world.status.conditions if each["type"] == "Ready")
    assert "digits-2-0-0 was promoted and turned bad" in said
    assert "digits-1-0-0" in said


async def test_a_version_that_is_being_deleted_is_not_gone_back_to() -> None:
    world = await watched()
    world.objects[FIRST]["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    world.ask(id="1", action="undo", to="digits-1-0-0")
    await world.step()
    assert world.status.last_request is not None
    assert "is being deleted" in world.status.last_request.message


@pytest.mark.parametrize("limit", ["0", "1"])
async def test_a_limit_at_either_end_is_watched(limit: str) -> None:
    world = await watched(guardrails=[{"metric": "accuracy", "limit": limit, "maxRatio": "1000", "minEvents": 50}])
    world.wrong["2.0.0"] = 0.5
    await world.run(20)
    assert undone(world) is (limit == "0")
