"""A version to its evidence on two boards, with a crash at any write, ends as it would have without (house style, rule 18)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from bramble.api.labels import ATTEMPT, FINALIZER, STEP
from bramble.contracts.canonical import canonical_json
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.benchmark import BenchmarkJob
from bramble.contracts.jobs.files import JobFile
from bramble.contracts.store import cause_key
from bramble.kinds.modelversion.controller import CONTROLLER
from bramble.kube.resources import ROLLOUT, Key
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import CountedFaults, FakeStore, Replica, Time, live_through
from tests.unit.modelversion.seen import DATASET, EXPORT, FP32, INT8, OTHER, TARGET, board_outcome, board_result, convert_result, manifest
from tests.unit.trainingrun.seen import manifest as run_manifest
from tests.unit.trainingrun.world import LONG_AGO, NAMESPACE, World

VERSION = Key("ModelVersion", "ns", "ads-1-0-0")
BOARDS = ("rpi5", "rpi4")
ALLOWED = 2
"""Failures, and disruptions, that a step survives."""

BoardEnd = Literal["result", "error", "lost", "final", "another"]
"""`another`: the result that its Job left is of another board."""
Work = tuple[str, int, int, int]
"""State, attempts, failures and disruptions."""

conversions = st.lists(st.sampled_from(["result", "error", "lost", "final"]), min_size=1, max_size=4)
board_ends = st.lists(st.sampled_from(["result", "error", "lost", "final", "another"]), min_size=1, max_size=4)
crashes = st.sets(st.integers(min_value=0, max_value=120), max_size=20)


@dataclass
class Bench(World):
    """`ends` are of the conversion's attempts, `boards` of each board's; the last of each repeats."""

    boards: dict[str, list[BoardEnd]] = field(default_factory=dict)

    def _end(self, job: dict[str, Any]) -> None:
        told = JobFile.parse(self.api.objects[Key("ConfigMap", NAMESPACE, job["metadata"]["name"])]["data"]["job.json"].encode())
        if not isinstance(told, BenchmarkJob):
            end: BoardEnd = self.end_of(told.attempt)
            self._finish(job, convert_result(), "step") if end == "result" else self._fail(job, end)
            return
        ends = self.boards[told.board]
        end = ends[min(told.attempt, len(ends)) - 1]
        if end in ("result", "another"):
            measured = board_result(board_outcome(FP32, 10.0), board_outcome(INT8, 5.0))
            self._finish(job, measured.model_copy(update={"board": told.board if end == "result" else "jetson"}), "step")
        else:
            self._fail(job, end)

    def _fail(self, job: dict[str, Any], end: BoardEnd) -> None:
        if end == "lost":
            taken = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "node lost"}
            self._pod(job, 0, {"running": {}}, (taken,), container="step")
        else:
            cause = Cause(kind="Error" if end == "error" else "SpecError", message=end)
            self.store.documents[NAMESPACE, cause_key(self._prefix(job), 0)] = canonical_json(cause)
            self._pod(job, 0, {"terminated": {"exitCode": 1, "finishedAt": LONG_AGO}}, container="step")
        self._turn(job, "FailureTarget")


def cluster(conversion: list[Any], by_board: dict[str, list[BoardEnd]]) -> Bench:
    api = FakeApi()
    pin = {"name": "tape", "uid": "uid-dataset", "version": DATASET}
    api.put({**run_manifest(), "status": {"dataset": pin, "package": {"digest": EXPORT}, "evaluation": {"samples": 9}}})
    made = [{"name": name, "selector": {"board": name}, "benchmarkSelector": {"bench": "true"}} for name in BOARDS]
    fleet = {"nodeSelector": {"fleet": "rooms"}, "boards": made, "allowedNamespaces": ["ns"]}
    api.put({"kind": "Fleet", "metadata": {"name": "rooms"}, "spec": fleet})
    api.put(manifest({"benchmark": [TARGET, OTHER]}))
    return Bench(api, FakeStore(), conversion, boards=by_board)


async def live_on(world: Bench, crash_at: set[int]) -> None:
    time, faults = Time(), CountedFaults(crash_at)
    await live_through(lambda: Replica(world.api, world.store, (CONTROLLER,), faults, time, also=(ROLLOUT,)), world.run_one)


def expected(ends: list[Any], done: str) -> Work:
    """By the rules as a person would apply them."""
    failures = disruptions = 0
    for attempt in range(1, 100):
        end = ends[min(attempt, len(ends)) - 1]
        if end == "result":
            return done, attempt, failures, disruptions
        if end == "final":
            return "Failed", attempt, failures, disruptions
        lost = end == "lost"
        failures, disruptions = failures + (not lost), disruptions + lost
        if max(failures, disruptions) > ALLOWED:
            return "Failed", attempt, failures, disruptions
    raise AssertionError("no end")


def work_of(seen: dict[str, Any]) -> Work:
    return seen["state"], seen["attempt"], seen.get("failures", 0), seen.get("disruptions", 0)


def check_end(world: Bench) -> None:
    status = world.api.objects[VERSION]["status"]
    conversion = expected(world.ends, "Converted")
    assert work_of(status["conversion"]) == conversion
    wanted = {board: expected(ends, "Measured") for board, ends in world.boards.items()} if conversion[0] == "Converted" else {}
    assert {each["board"]: work_of(each) for each in status.get("benchmarks", ())} == wanted
    proven = [board for board, work in wanted.items() if work[0] == "Measured"]
    assert [(each["board"], each["package"]) for each in status.get("targets", ())] == [(board, INT8) for board in proven]
    assert status["phase"] == ("Ready" if len(proven) == len(BOARDS) else "Failed")
    made = {key: count for key, count in world.api.created.items() if key.kind != "Event"}
    assert all(count == 1 for count in made.values()), f"a child was made twice: {made}"
    jobs = [key.name for key in made if key.kind == "Job"]
    assert len(jobs) == conversion[1] + sum(work[1] for work in wanted.values()), f"one Job an attempt: {jobs}"
    left = {(job["metadata"]["labels"][STEP], job["metadata"]["labels"][ATTEMPT]) for job in world.api.of_kind("Job")}
    assert len(left) == len({step for step, _ in left}) == 1 + len(wanted), f"Jobs of earlier attempts are gone: {left}"


def memory(world: Bench) -> dict[str, Any]:
    """Without order where boards may be measured in any, and without the cause of whichever failed last."""
    status = world.api.objects[VERSION]["status"]
    kept = {name: status[name] for name in sorted(CONTROLLER.memory & status.keys() - {"firstCause"})}
    for variant in kept.get("variants", ()):
        variant["benchmarks"] = sorted(variant.get("benchmarks", ()), key=lambda seen: str(seen["board"]))
    return kept


@given(conversion=conversions, each=st.tuples(board_ends, board_ends), crashed=crashes)
@settings(max_examples=80)
def test_it_ends_the_same_whatever_crashes(conversion: list[Any], each: tuple[list[BoardEnd], list[BoardEnd]], crashed: set[int]) -> None:
    async def run() -> None:
        remembered = []
        for drawn in (set[int](), crashed):
            world = cluster(conversion, dict(zip(BOARDS, each, strict=True)))
            await live_on(world, drawn)
            check_end(world)
            remembered.append(memory(world))
        assert remembered[0] == remembered[1], "crashes changed what is remembered"

    asyncio.run(run())


@given(crashed=crashes, after=st.integers(0, 60), spoiled=st.booleans())
@settings(max_examples=40)
def test_while_a_rollout_uses_it_it_stays_and_goes_after(crashed: set[int], after: int, spoiled: bool) -> None:
    """Also where its spec cannot be used any more."""

    async def run() -> None:
        world = cluster(["result"], {board: ["result"] for board in BOARDS})
        user = {"kind": "Rollout", "metadata": {"name": "r", "namespace": NAMESPACE}, "spec": {}}
        world.api.put({**user, "status": {"stable": {"ref": VERSION.name, "uid": manifest()["metadata"]["uid"]}}})
        await live_on(world, {after})
        found = world.api.objects[VERSION]
        if spoiled:
            found["spec"]["benchmark"][0]["limits"]["memory"] = "1e400"
        await world.api.delete(CONTROLLER.resource, NAMESPACE, VERSION.name, found["metadata"]["uid"], "Background")
        await live_on(world, crashed)
        assert world.api.objects[VERSION]["metadata"]["finalizers"] == [FINALIZER]
        world.api.put(user)
        await live_on(world, crashed)
        assert world.api.objects[VERSION]["metadata"]["finalizers"] == []

    asyncio.run(run())
