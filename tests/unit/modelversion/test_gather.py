"""What is read of a version at each stage, and what is known while the store does not answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.api.labels import ATTEMPT, MANAGED_BY_BRAMBLE, OWNER_UID, STEP
from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.store import blob_key, result_key, run_prefix
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kinds.blockers import Blocker
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.stale_children import Child
from bramble.kinds.modelversion.controller import CONTROLLER, depends_on
from bramble.kinds.modelversion.observed import BoardSeen, Observed, Unusable
from bramble.kinds.modelversion.plan import plan
from bramble.kinds.modelversion.render import benchmark_name, convert_filed_key, convert_step
from bramble.kinds.plan import Delete, Plan
from bramble.kube.resources import FLEET, ROLLOUT, Key
from tests.unit.engine.replica import SETTINGS, FakeStore
from tests.unit.jobs.reading import BlockedStore, BrokenStore, gathered
from tests.unit.jobs.seen import outlived_for
from tests.unit.modelversion.seen import (
    DATASET,
    EXPORT,
    NOW,
    OTHER,
    RPI4,
    RPI5,
    SELECTOR,
    TARGET,
    UID,
    board_result,
    case,
    condition,
    convert_result,
    manifest,
    message,
    stored,
)
from tests.unit.modelversion.seen import LINEAGE as PINNED
from tests.unit.modelversion.test_pin_source import package, run

LINEAGE = {"package": EXPORT, "dataset": DATASET}
RUNNING = {"attempt": 1, "state": "Running"}
PACKAGE = {"source": {"package": {"digest": EXPORT}}}
MEASURING = {"lineage": LINEAGE, "conversion": {"attempt": 1, "state": "Converted"}, "benchmarks": [{**RPI5._asdict(), **RUNNING}]}


@pytest.mark.parametrize("error", [StoreUnavailable("no answer"), StoreRefused("no such key")])
@pytest.mark.parametrize(
    ("spec", "status"),
    [
        case("its package is read", PACKAGE, {}),
        case("it is converted", {}, {"lineage": LINEAGE, "conversion": RUNNING}),
        case("a board is measured", {}, MEASURING),
    ],
)
async def test_a_store_that_fails_is_told_at_every_stage(spec: Any, status: Any, error: Exception) -> None:
    version = {**manifest(spec), "status": status}
    told = plan(await gathered(CONTROLLER, Key("ModelVersion", "ns", "ads-1-0-0"), [version], BrokenStore(error)), NOW)
    assert (condition(told), message(told)) == (("False", type(error).__name__), str(error))
    assert told == Plan(status=told.status, events=told.events, wake_at=NOW + timedelta(seconds=5))


VERSION = Key("ModelVersion", "ns", "ads-1-0-0")
DONE = {"lineage": LINEAGE, "conversion": {"attempt": 1, "state": "Converted"}}
PROBLEM = Blocker("StoreMissing", "namespace ns has no Secret bramble-store")


async def seen_of(
    status: dict[str, Any], *objects: dict[str, Any], spec: Any = None, store: FakeStore | None = None, **metadata: Any
) -> Observed:
    version = {**manifest(spec, **metadata), "status": status}
    seen = await gathered(CONTROLLER, VERSION, [version, *objects], store, also=(FLEET, ROLLOUT))
    assert isinstance(seen, Observed)
    assert (seen.settings, seen.gateway_ca) == (SETTINGS, "")
    return seen


def read(seen: Observed) -> dict[str, Any]:
    """What was read beside the version itself."""
    fields = ("lineage", "source_blocker", "store", "conversion", "boards", "benchmarks", "stale_children", "used_by")
    return {name: value for name in fields if (value := getattr(seen, name))}


def holding(**documents: bytes) -> FakeStore:
    """A store that has these documents of the namespace."""
    store = FakeStore()
    store.documents = {("ns", key): content for key, content in documents.items()}
    return store


def job(step: str, attempt: int, namespace: str = "ns") -> dict[str, Any]:
    name = f"ads-1-0-0-{step}-{attempt}"
    labels = {**MANAGED_BY_BRAMBLE, OWNER_UID: UID, STEP: step, ATTEMPT: str(attempt)}
    return {"kind": "Job", "metadata": {"name": name, "namespace": namespace, "uid": f"uid-of-{name}", "labels": labels}}


def rollout(name: str, namespace: str = "ns") -> dict[str, Any]:
    return {"kind": "Rollout", "metadata": {"name": name, "namespace": namespace}, "status": {"stable": {"ref": "ads-1-0-0", "uid": UID}}}


def training_run(**status: Any) -> dict[str, Any]:
    made = run(**status)
    return {**made, "kind": "TrainingRun", "metadata": {**made["metadata"], "namespace": "ns"}}


EVALUATED = {"package": {"digest": EXPORT, "image": "i"}, "dataset": {"version": DATASET}, "evaluation": {"samples": 1}}
FROM_RUN = PINNED.model_copy(update={"image": "i"})


@pytest.mark.parametrize(
    ("objects", "store", "expected"),
    [
        case("there is no run", (), None, "SourceMissing"),
        case("the run trains", (training_run(),), None, "SourceNotReady"),
        case("the run has an evaluated package", (training_run(**EVALUATED),), None, FROM_RUN),
        case("the store cannot be used", (training_run(**EVALUATED),), BlockedStore(PROBLEM), PROBLEM),
    ],
)
async def test_the_source_is_read_until_it_is_pinned(objects: Any, store: FakeStore | None, expected: Any) -> None:
    seen = await seen_of({}, *objects, store=store)
    if expected == PROBLEM:
        assert isinstance(store, BlockedStore)
        assert (read(seen), store.asked) == ({"store": PROBLEM}, ["ns"])
    elif isinstance(expected, str):
        assert seen.source_blocker is not None
        assert (set(read(seen)), seen.source_blocker.reason) == ({"source_blocker"}, expected)
    else:
        assert read(seen) == {"lineage": expected}


async def test_a_package_is_read_from_the_store() -> None:
    content = package(dataset=DATASET)
    digest = digest_of(content)
    seen = await seen_of({}, spec={"source": {"package": {"digest": digest}}}, store=holding(**{blob_key(digest): content}))
    assert seen.lineage is not None
    assert (seen.lineage.package, seen.lineage.dataset) == (digest, DATASET)
    missing = await seen_of({}, spec=PACKAGE)
    assert missing.source_blocker is not None
    assert missing.source_blocker.reason == "SourceMissing"
    assert EXPORT in missing.source_blocker.message


async def test_the_present_conversion_is_read_with_the_result_of_the_same_inputs() -> None:
    status = {"lineage": LINEAGE, "conversion": {"attempt": 2, "state": "Running"}}
    runs = await seen_of(status, job("convert", 1), job("convert", 2), job("convert", 3), job("convert", 1, "other"))
    stale = Child(Key("Job", "ns", "ads-1-0-0-convert-1"), "uid-of-ads-1-0-0-convert-1", "convert", 1)
    assert read(runs) == {"conversion": StepSeen(job=Job(name="ads-1-0-0-convert-2")), "stale_children": (stale,)}
    step = convert_step(runs, 2)
    assert step is not None
    result = stored(convert_result())
    filed = await seen_of(status, store=holding(**{convert_filed_key(step): result.content}))
    assert read(filed) == {"conversion": StepSeen(filed=result)}


@pytest.mark.parametrize(
    "conversion",
    [case("it was given up", {"attempt": 1, "state": "Failed"}), case("there is none yet", None)],
)
async def test_without_a_conversion_under_way_nothing_is_read(conversion: Any) -> None:
    assert read(await seen_of({"lineage": LINEAGE, "conversion": conversion}, job("convert", 1))) == {}


def fleet(namespaces: tuple[str, ...] = ("ns",), **board: Any) -> dict[str, Any]:
    first = {"name": "rpi5", "selector": {"bramble.dev/board": "rpi5"}, "benchmarkSelector": {"bramble.dev/bench": "true"}, **board}
    spec = {"nodeSelector": {"bramble.dev/fleet": "rooms"}, "allowedNamespaces": list(namespaces), "boards": [first]}
    return {"kind": "Fleet", "metadata": {"name": "rooms"}, "spec": spec}


@pytest.mark.parametrize(
    ("fleets", "reason", "fragment"),
    [
        case("there is no Fleet", (), "FleetMissing", "there is no Fleet rooms"),
        case("the Fleet cannot be used", (fleet(selector=1),), "FleetMissing", "cannot be used: spec.boards.0.selector"),
        case("the Fleet does not allow the namespace", (fleet(("other",)),), "FleetNotAllowed", "does not list namespace ns"),
        case("the Fleet has no such board", (fleet(name="rpi4"),), "BoardMissing", "has no board rpi5, it has rpi4"),
        case("no node may measure", (fleet(benchmarkSelector=None),), "NoBenchmarkSelector", "board rpi5 of Fleet rooms has no"),
    ],
)
async def test_a_board_that_cannot_measure(fleets: Any, reason: str, fragment: str) -> None:
    seen = await seen_of(DONE, *fleets)
    assert set(seen.boards) == {RPI5}
    blocker = seen.boards[RPI5].blocker
    assert blocker is not None
    assert blocker.reason == reason
    assert fragment in blocker.message
    assert (dict(seen.boards[RPI5].selector), set(read(seen))) == ({}, {"boards"})


async def test_boards_that_are_not_measured_yet_are_read_with_their_present_attempts() -> None:
    works = [{**RPI5._asdict(), "attempt": 2, "state": "Running"}, {**RPI4._asdict(), "attempt": 1, "state": "Measured"}]
    spec, name = {"benchmark": [TARGET, OTHER]}, benchmark_name(RPI5)
    children = (job(name, 1), job(name, 2), job(benchmark_name(RPI4), 1))
    seen = await seen_of({**DONE, "benchmarks": works}, fleet(), *children, spec=spec)
    stale = Child(Key("Job", "ns", f"ads-1-0-0-{name}-1"), f"uid-of-ads-1-0-0-{name}-1", name, 1)
    present = StepSeen(job=Job(name=f"ads-1-0-0-{name}-2"))
    assert read(seen) == {"boards": {RPI5: BoardSeen(SELECTOR)}, "benchmarks": {RPI5: present}, "stale_children": (stale,)}
    not_begun = await seen_of(DONE, fleet())
    assert read(not_begun) == {"boards": {RPI5: BoardSeen(SELECTOR)}}


async def test_a_boards_result_is_read() -> None:
    prefix = run_prefix("ModelVersion", "ns", "ads-1-0-0", UID, benchmark_name(RPI5), 1)
    result = stored(board_result())
    seen = await seen_of(MEASURING, fleet(), store=holding(**{result_key(prefix): canonical_json(board_result())}))
    assert seen.benchmarks == {RPI5: StepSeen(stored=result)}


async def test_a_version_that_is_gone_cannot_be_used_or_is_being_deleted() -> None:
    users = (rollout("b"), rollout("a"), rollout("c", "other"))
    assert await gathered(CONTROLLER, VERSION, [], also=(FLEET, ROLLOUT)) is None
    unusable = await gathered(CONTROLLER, VERSION, [manifest({"version": 1}), *users], also=(FLEET, ROLLOUT))
    assert isinstance(unusable, Unusable)
    assert unusable.used_by == ("ns/a", "ns/b")
    leaving = await seen_of(MEASURING, fleet(), *users, job(benchmark_name(RPI5), 0), deletionTimestamp="2026-01-02T00:00:00Z")
    assert read(leaving) == {"used_by": ("ns/a", "ns/b")}


RUN, ROOMS, HALLS = Key("TrainingRun", "ns", "run"), Key("Fleet", "", "rooms"), Key("Fleet", "", "halls")
TWO_FLEETS = {"benchmark": [TARGET, OTHER, {"fleet": "halls", "board": "rpi5"}]}


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        case("its source is not pinned", TWO_FLEETS, None, [RUN]),
        case("its source is a package", PACKAGE, {}, []),
        case("it says nothing of its source", {"source": None}, {}, []),
        case("it is converted", TWO_FLEETS, {"lineage": LINEAGE}, [HALLS, ROOMS]),
        case(
            "a board is measured, another one is not",
            TWO_FLEETS,
            {"lineage": LINEAGE, "benchmarks": [{**RPI5._asdict(), "state": "Measured"}]},
            [HALLS, ROOMS],
        ),
        case(
            "the boards of a fleet are done",
            TWO_FLEETS,
            {"lineage": LINEAGE, "benchmarks": [{**RPI5._asdict(), "state": "Failed"}, {**RPI4._asdict(), "state": "Measured"}]},
            [HALLS],
        ),
        case("no benchmark is asked for", {"benchmark": None}, {"lineage": LINEAGE}, []),
    ],
)
def test_what_wakes_a_version(spec: Any, status: Any, expected: list[Key]) -> None:
    assert list(depends_on({**manifest(spec), "status": status})) == expected


def test_a_version_without_a_spec_is_woken_by_nothing() -> None:
    assert list(depends_on({"metadata": {"namespace": "ns"}})) == []


@pytest.mark.parametrize(
    ("step", "state", "outlived"),
    [
        case("the conversion is under way", "convert", {"conversion": RUNNING}, False),
        case("the conversion is recorded", "convert", DONE, True),
        case("the conversion was given up", "convert", {"conversion": {"attempt": 1, "state": "Failed"}}, True),
        case("the board is being measured", benchmark_name(RPI5), MEASURING, False),
        case(
            "the board is measured",
            benchmark_name(RPI5),
            {**DONE, "benchmarks": [{**RPI5._asdict(), "attempt": 1, "state": "Measured"}]},
            True,
        ),
    ],
)
async def test_a_job_whose_pod_is_kept_alive_is_deleted_once_its_outcome_is_recorded(step: str, state: Any, outlived: bool) -> None:
    made = job(step, 1)
    done = {"name": "step", "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-01-01T00:00:00Z"}}}
    status = {"phase": "Running", "containerStatuses": [done, {"name": "mesh", "state": {"running": {}}}]}
    metadata = {"name": "p", "namespace": "ns", "uid": "uid-p", "labels": made["metadata"]["labels"]}
    seen = await seen_of({"lineage": LINEAGE, **state}, made, {"kind": "Pod", "metadata": metadata, "spec": {}, "status": status})
    assert [each.job.step for each in seen.outlived] == ([step] if outlived else [])
    deleted = [item.key.name for item in plan(outlived_for(seen, 30), NOW).items if isinstance(item, Delete)]
    assert deleted == ([made["metadata"]["name"]] if outlived else [])
