"""From a run to its ModelVersion: with the operator crashing at any write, everything ends as it would have without crashes."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bramble.kinds.modelversion import controller as modelversion
from bramble.kinds.trainingrun import controller as trainingrun
from bramble.kube.resources import Key
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import CountedFaults, FakeStore, Replica, Time, live_through
from tests.unit.trainingrun import kept
from tests.unit.trainingrun.seen import DATASET, manifest
from tests.unit.trainingrun.world import End, World, package_of

RUN, VERSION = Key("TrainingRun", "ns", "run"), Key("ModelVersion", "ns", "ads-1-0-0")
FAILURES, DISRUPTIONS = 1, 2
TEMPLATE = {"model": "ads", "version": "1.0.0", "benchmark": [{"fleet": "rooms", "board": "rpi5"}]}
GATES = {"gates": [{"metric": "f1", "min": "0.9"}]}
BUDGETS = {"failures": FAILURES, "disruptions": DISRUPTIONS}
DERIVED = ("conditions", "endedAt", "spentSeconds", "outcome", "current", "observedGeneration", "progress")
"""Fields that hold times, and fields that are checked on their own."""

ends = st.lists(st.sampled_from(["result", "error", "lost", "final"]), min_size=1, max_size=5)
crashes = st.sets(st.integers(min_value=0, max_value=120), max_size=20)


def cluster(ends: list[End], passes: bool, vanish: bool = False, api: FakeApi | None = None) -> World:
    api = api or FakeApi()
    ready = {"type": "Ready", "status": "True", "reason": "Snapshotted", "message": ""}
    dataset = {"name": "tape", "namespace": "ns", "uid": "uid-dataset"}
    status = {"version": DATASET, "conditions": [ready], "observedGeneration": 1}
    api.put({"kind": "Dataset", "metadata": dataset, "spec": {"task": "image-classification"}, "status": status})
    board = {"name": "rpi5", "selector": {"bramble.dev/board": "rpi5"}, "benchmarkSelector": {"bramble.dev/bench": "true"}}
    fleet = {"nodeSelector": {"fleet": "rooms"}, "boards": [board], "allowedNamespaces": ["ns"]}
    api.put({"kind": "Fleet", "metadata": {"name": "rooms"}, "spec": fleet})
    for name in ("gpu-0", "gpu-1"):
        beats = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        api.put({"kind": "Node", "metadata": {"name": name}, "spec": {}, "status": {"conditions": [beats], "allocatable": {"pods": "10"}}})
    api.put(manifest({"modelVersion": TEMPLATE, "evaluation": GATES, "budgets": BUDGETS}))
    return World(api, FakeStore(), ends, passes, vanish)


async def live_on(world: World, crash_at: set[int]) -> None:
    time, faults, attempts = Time(), CountedFaults(crash_at), list[int]()

    def check() -> None:
        attempts.append(world.api.objects[RUN].get("status", {}).get("attempt", 0))
        assert attempts == sorted(attempts), "status.attempt only grows"

    controllers = (trainingrun.CONTROLLER, modelversion.CONTROLLER)
    await live_through(lambda: Replica(world.api, world.store, controllers, faults, time), world.run_one, check)


def expected(world: World) -> tuple[str, int, int, int]:
    """Outcome, attempts, failures and disruptions, by the rules of the documentation."""
    failures = disruptions = 0
    for attempt in range(1, 100):
        end = world.end_of(attempt)
        if end == "result":
            return "Succeeded" if world.passes else "GatesFailed", attempt, failures, disruptions
        if end == "final":
            return "SpecError", attempt, failures, disruptions
        failures += end == "error"
        disruptions += end == "lost"
        if failures > FAILURES:
            return "FailureBudgetSpent", attempt, failures, disruptions
        if disruptions > DISRUPTIONS:
            return "DisruptionBudgetSpent", attempt, failures, disruptions
    raise AssertionError("no end")


def check_end(world: World) -> None:
    status = world.api.objects[RUN]["status"]
    outcome, attempt, failures, disruptions = expected(world)
    assert (status["outcome"]["reason"], status["attempt"]) == (outcome, attempt)
    assert (status.get("failures", 0), status.get("disruptions", 0)) == (failures, disruptions)
    made = {key: count for key, count in world.api.created.items() if key.kind != "Event"}
    assert all(count == 1 for count in made.values()), f"a child was made twice: {made}"
    names = sorted(int(key.name.rsplit("-", 1)[1]) for key in made if key.kind == "Job" and "-train-" in key.name)
    assert names == list(range(1, attempt + 1)), "one Job an attempt"
    left = [job["metadata"]["name"] for job in world.api.of_kind("Job") if "-train-" in job["metadata"]["name"]]
    kept = outcome in ("Succeeded", "GatesFailed") and not world.vanish
    assert left == ([f"run-train-{attempt}"] if kept else []), "Jobs of ended attempts are gone"
    version = world.api.objects.get(VERSION)
    assert (version is not None) == (outcome == "Succeeded")
    if version is not None:
        assert "ownerReferences" not in version["metadata"]
        assert version["status"]["phase"] == "Ready"
        assert [target["board"] for target in version["status"]["targets"]] == ["rpi5"]


def memory(world: World) -> dict[str, Any]:
    found = {name: value for name, value in world.api.objects[RUN]["status"].items() if name not in DERIVED}
    version = world.api.objects.get(VERSION)
    kept = {name: value for name, value in version["status"].items() if name not in DERIVED} if version is not None else {}
    return {"run": found, "version": kept}


@given(ends=ends, crashes=crashes, passes=st.booleans(), vanish=st.booleans())
@settings(max_examples=120)
def test_it_ends_the_same_whatever_crashes(ends: list[End], crashes: set[int], passes: bool, vanish: bool) -> None:
    async def run() -> None:
        remembered = []
        for drawn in (set[int](), crashes):
            world = cluster(ends, passes, vanish)
            await live_on(world, drawn)
            check_end(world)
            remembered.append(memory(world))
        assert remembered[0] == remembered[1], "crashes changed what is remembered"

    asyncio.run(run())


@given(crashes=crashes, passes=st.booleans(), vanish=st.booleans())
@settings(max_examples=20)
def test_a_kept_output_is_packaged_the_same_whatever_crashes(crashes: set[int], passes: bool, vanish: bool) -> None:
    async def run() -> None:
        world = cluster(["final"], passes, vanish)
        world.leaves = True
        mended = manifest({**kept.spec(package=kept.DESCRIBED), "modelVersion": TEMPLATE, "evaluation": GATES})
        mended["spec"]["trainer"]["keptOutput"]["trainingRunRef"]["name"] = RUN.name
        mended["metadata"] |= {"name": "mended", "uid": "uid-mended"}
        world.api.put(mended)
        await live_on(world, crashes)
        status = world.api.objects[Key("TrainingRun", "ns", "mended")]["status"]
        assert status["outcome"]["reason"] == ("Succeeded" if passes else "GatesFailed")
        assert (status.get("attempt", 0), status["packaging"]["attempt"], status["package"]["digest"]) == (0, 1, package_of(7))
        assert status["dataset"]["version"] == DATASET
        made = {key.name: count for key, count in world.api.created.items() if key.kind == "Job"}
        steps = ["mended-evaluate-1", "mended-package-1", "run-train-1"]
        assert sorted(name for name in made if "ads-1-0-0" not in name) == steps, "nothing is trained"
        assert set(made.values()) == {1}
        version = world.api.objects.get(VERSION)
        assert (version is not None) == passes
        if version is not None:
            assert version["spec"]["source"] == {"trainingRunRef": {"name": "mended"}}

    asyncio.run(run())


def test_a_restored_cluster_does_not_train_again() -> None:
    """The objects are made anew (with other uids), the store is the same: everything comes from what was filed."""

    async def run() -> None:
        first = cluster(["result"], passes=True)
        await live_on(first, set())
        second = cluster(["error"], passes=True)
        second.store.documents = dict(first.store.documents)
        second.api.objects[RUN]["metadata"]["uid"] = "uid-after-the-restore"
        await live_on(second, set())
        status = second.api.objects[RUN]["status"]
        assert status["outcome"]["reason"] == "Succeeded"
        assert status["package"]["digest"] == first.api.objects[RUN]["status"]["package"]["digest"]
        jobs = [key.name for key in second.api.created if key.kind == "Job"]
        assert not [name for name in jobs if "-train-" in name or "-evaluate-" in name or "-convert-" in name], jobs

    asyncio.run(run())
