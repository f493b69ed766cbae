"""What is read of a run: its attempt, objects of ended attempts, and what is known while the store does not answer."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.labels import ATTEMPT, MANAGED_BY_BRAMBLE, OWNER_UID, STEP
from bramble.api.objects import Invalid
from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.jobs.termination import Termination
from bramble.contracts.manifest import Manifest
from bramble.contracts.store import blob_key, cause_key, result_key, run_prefix
from bramble.contracts.untrusted import SMALL_DOCUMENT
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kinds.blockers import Blocker
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.stale_children import Child
from bramble.kinds.plan import Delete
from bramble.kinds.trainingrun.controller import CONTROLLER, depends_on
from bramble.kinds.trainingrun.evaluation import evaluate_filed_key, evaluate_step
from bramble.kinds.trainingrun.observed import DatasetSeen, ModelVersionSeen, Observed
from bramble.kinds.trainingrun.plan import plan
from bramble.kinds.trainingrun.policies.wait_for_store import wait_for_store
from bramble.kube.resources import NODE, Key
from tests.unit.engine.replica import SETTINGS, FakeStore
from tests.unit.jobs.reading import BlockedStore, BrokenStore, gathered
from tests.unit.jobs.seen import outlived_for
from tests.unit.trainingrun.seen import (
    DATASET,
    NOW,
    PACKAGE,
    PIN,
    UID,
    ago,
    case,
    cause,
    condition,
    evaluate_result,
    manifest,
    message,
    stored,
    train_result,
)
from tests.unit.trainingrun.seen import job as job_of
from tests.unit.trainingrun.seen import pod as pod_of

RUN = Key("TrainingRun", "ns", "run")
PINNED = {"name": "tape", "uid": "uid-dataset", "version": PIN.version}
CURRENT = {"number": 2, "nodes": 2}
HEADER = canonical_json(
    Manifest(task="image-classification", classes=("ad",), seed=0, samples=DATASET, samples_bytes=1, counts={"test": {"ad": 1}})
)
PREFIX = run_prefix("TrainingRun", "ns", "run", UID, "train", 2)


async def seen_of(status: dict[str, Any], children: tuple[dict[str, Any], ...], documents: FakeStore | None = None) -> Observed:
    run = {**manifest(), "status": {"dataset": PINNED, **status}}
    seen = await gathered(CONTROLLER, Key("TrainingRun", "ns", "run"), [run, *children], documents)
    assert isinstance(seen, Observed)
    return seen


def labels(step: str, attempt: int, uid: str = UID) -> dict[str, str]:
    return {**MANAGED_BY_BRAMBLE, OWNER_UID: uid, STEP: step, ATTEMPT: str(attempt)}


def child(step: str, attempt: int, **metadata: Any) -> dict[str, Any]:
    named = {"name": f"run-{step}-{attempt}", "namespace": "ns", "labels": labels(step, attempt)}
    return {"kind": "Job", "metadata": {**named, **metadata}}


def of_attempt_2(job: dict[str, Any], *pods: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The same Job and pods as those of attempt 2."""
    job["metadata"] |= {"name": "run-train-2", "labels": labels("train", 2)}
    for pod in pods:
        pod["metadata"]["labels"] |= labels("train", 2)
    return (job, *pods)


TRAINS = tuple(child("train", number) for number in (1, 2, 3))
EVALUATES = tuple(child("evaluate", number) for number in (1, 2, 3))
ENDS = "2026-01-02T03:04:05Z"
OUTCOME = {"reason": "SpecError", "message": ""}


@pytest.mark.parametrize(
    ("status", "children", "stale"),
    [
        case("an attempt above the one that memory names is a later leader's", {"attempt": 2, "current": CURRENT}, TRAINS, ["run-train-1"]),
        case("between attempts all of them have ended", {"attempt": 2}, TRAINS, ["run-train-1", "run-train-2"]),
        case("the run is over", {"attempt": 2, "outcome": OUTCOME}, TRAINS, ["run-train-1", "run-train-2"]),
        case("the attempt that made the package stays", {"attempt": 2, "package": {"digest": PACKAGE}}, TRAINS, ["run-train-1"]),
        case("an earlier evaluation has ended", {"attempt": 2, "evaluating": {"attempt": 2}}, EVALUATES, ["run-evaluate-1"]),
        case("an evaluation that memory does not know of yet stays", {"attempt": 2}, EVALUATES, []),
        case("an object that is being deleted is left alone", {"attempt": 1}, (child("train", 1, deletionTimestamp=ENDS),), []),
        case("another run's Job is left alone", {"attempt": 1}, (child("train", 1, labels=labels("train", 1, "uid-other")),), []),
    ],
)  # fmt: skip
async def test_stale_children(status: dict[str, Any], children: tuple[dict[str, Any], ...], stale: list[str]) -> None:
    seen = await seen_of(status, children)
    assert [child.key.name for child in seen.stale_children] == stale


async def test_the_present_attempt_is_read() -> None:
    seen = await seen_of({"attempt": 2, "current": CURRENT}, of_attempt_2(job_of(), pod_of(0), pod_of(1)))
    assert seen.attempt is not None
    assert seen.attempt.job is not None
    assert (seen.attempt.job.name, sorted(seen.attempt.pods), seen.attempt.stored) == ("run-train-2", [0, 1], None)


async def test_a_job_of_an_earlier_run_of_this_name_is_not_ours() -> None:
    """The garbage collector has not removed it yet. Its state must not be taken for that of the present attempt."""
    (job,) = of_attempt_2(job_of(("Complete", "")))
    job["metadata"]["labels"] = labels("train", 2, "uid-earlier")
    seen = await seen_of({"attempt": 2, "current": CURRENT}, (job,))
    assert seen.attempt is not None
    assert seen.attempt.job is None


async def test_pods_of_an_earlier_run_of_this_name_are_not_ours() -> None:
    job, pod = of_attempt_2(job_of(), pod_of(0, 1))
    pod["metadata"]["labels"] |= labels("train", 2, "uid-earlier")
    seen = await seen_of({"attempt": 2, "current": CURRENT}, (job, pod))
    assert seen.attempt is not None
    assert seen.attempt.pods == {}


async def test_a_failed_rank_is_asked_for_its_cause() -> None:
    documents = FakeStore()
    documents.documents["ns", cause_key(PREFIX, 1)] = canonical_json(cause("BadData", 1))
    seen = await seen_of({"attempt": 2, "current": CURRENT}, of_attempt_2(job_of(), pod_of(0), pod_of(1, 65)), documents)
    assert seen.attempt is not None
    assert seen.attempt.reported == {1: cause("BadData", 1)}


@pytest.mark.parametrize("content", [case("no JSON", b"{"), case("too large", canonical_json(cause("BadData", 1)) + b" " * SMALL_DOCUMENT)])
async def test_a_cause_that_cannot_be_read_is_ignored(content: bytes) -> None:
    documents = FakeStore()
    documents.documents["ns", cause_key(PREFIX, 1)] = content
    seen = await seen_of({"attempt": 2, "current": CURRENT}, of_attempt_2(job_of(), pod_of(0), pod_of(1, 65)), documents)
    assert seen.attempt is not None
    assert (seen.attempt.reported, seen.store) == ({}, None)


@pytest.mark.parametrize(
    "children",
    [
        case("rank 0 ended with 0", of_attempt_2(job_of(), pod_of(0, 0), pod_of(1))),
        case("the Job is complete and its pods are gone", of_attempt_2(job_of(("Complete", "")))),
        case("the Job is gone", ()),
    ],
)
async def test_a_result_is_read(children: tuple[dict[str, Any], ...]) -> None:
    documents = FakeStore()
    documents.documents["ns", result_key(PREFIX)] = canonical_json(train_result())
    seen = await seen_of({"attempt": 2, "current": CURRENT}, children, documents)
    assert seen.attempt is not None
    assert seen.attempt.stored is not None
    assert seen.attempt.stored.result == train_result()


async def test_a_run_that_trains_needs_no_store() -> None:
    children = of_attempt_2(job_of(), pod_of(0), pod_of(1))
    seen = await seen_of({"attempt": 2, "current": CURRENT}, children, BrokenStore(StoreUnavailable("no answer")))
    assert wait_for_store(seen, NOW) is None


@pytest.mark.parametrize("error", [StoreUnavailable("no answer"), StoreRefused("no such key")])
async def test_while_the_store_fails_the_pods_say_why_the_attempt_ended(error: Exception) -> None:
    children = of_attempt_2(job_of(("FailureTarget", "PodFailurePolicy"), since=10), pod_of(0), pod_of(1, 1, ended=10))
    seen = await seen_of({"attempt": 2, "current": CURRENT, "phase": "Training"}, children, BrokenStore(error))
    planned = plan(seen, NOW)
    assert condition(planned) == ("False", type(error).__name__)
    assert message(planned).startswith(f"{error}; attempt 2 is ending, and its pods say: Error (node rank 1, node gpu-2, exit code 1)")
    assert (planned.remember, planned.items, planned.wake_at) == (False, (), ago(-5))


@pytest.mark.parametrize(
    "status",
    [
        case("before the first attempt", {}),
        case("while the package is evaluated", {"attempt": 1, "package": {"digest": PACKAGE}, "evaluating": {"attempt": 1}}),
    ],
)
async def test_a_store_that_does_not_answer_is_reported_at_every_stage(status: dict[str, Any]) -> None:
    planned = plan(await seen_of(status, (), BrokenStore(StoreUnavailable("no answer"))), NOW)
    assert (condition(planned), message(planned)) == (("False", "StoreUnavailable"), "no answer")


async def test_an_attempt_that_ended_well_is_not_said_to_have_left_no_result() -> None:
    children = of_attempt_2(job_of(("Complete", "")))
    seen = await seen_of({"attempt": 2, "current": CURRENT}, children, BrokenStore(StoreUnavailable("no answer")))
    assert message(plan(seen, NOW)) == "no answer"


def dataset(ready: str = "True", generation: int = 1, version: str = DATASET, **metadata: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready, "reason": "x", "message": "class A has 2 samples"}]
    status = {"version": version, "conditions": conditions, "observedGeneration": 1}
    named = {"name": "tape", "namespace": "ns", "uid": "u", "generation": generation, **metadata}
    return {"kind": "Dataset", "metadata": named, "spec": {}, "status": status}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        case("a snapshotted Dataset", dataset(), DatasetSeen("tape", "u", DATASET, frozen=True)),
        case("a check failed", dataset("False"), DatasetSeen("tape", "u", DATASET, frozen=False, message="class A has 2 samples")),
        case("its spec has changed since", dataset(generation=2), DatasetSeen("tape", "u", DATASET, frozen=False)),
        case("it has no version yet", dataset(version=""), DatasetSeen("tape", "u", "", frozen=False)),
        case("it is being deleted", dataset(deletionTimestamp="2026-01-02T03:04:05Z"), None),
    ],
)
async def test_the_dataset(found: dict[str, Any], expected: DatasetSeen | None) -> None:
    assert (await seen_of({"dataset": None}, (found,))).dataset == expected


@pytest.mark.parametrize(
    ("gates", "content", "classes"),
    [
        case("with gates the version's header is read", True, HEADER, ("ad",)),
        case("without gates it is not", False, HEADER, None),
        case("it is not in the store", True, None, None),
        case("it is another document", True, b"{}", None),
    ],
)
async def test_the_header_of_the_version(gates: bool, content: bytes | None, classes: tuple[str, ...] | None) -> None:
    version = digest_of(content or HEADER)
    documents = FakeStore()
    if content is not None:
        documents.documents["ns", blob_key(version)] = content
    run = manifest({"evaluation": {"gates": [{"metric": "accuracy", "min": "0.5"}] if gates else []}})
    seen = await gathered(CONTROLLER, RUN, [run, dataset(version=version)], documents)
    assert isinstance(seen, Observed)
    assert seen.dataset is not None
    assert (seen.dataset.manifest.classes if seen.dataset.manifest is not None else None) == classes


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        case("it was made by a run", {"source": {"trainingRunRef": {"name": "run"}}}, {}, ModelVersionSeen("run", "")),
        case("it has pinned a package", {"source": {}}, {"lineage": {"package": PACKAGE}}, ModelVersionSeen("", PACKAGE)),
        case("it says nothing of its source", {}, {}, ModelVersionSeen("", "")),
    ],
)
async def test_the_model_version_of_the_name(spec: dict[str, Any], status: dict[str, Any], expected: ModelVersionSeen) -> None:
    there = {"kind": "ModelVersion", "metadata": {"name": "ads-1-0-0", "namespace": "ns"}, "spec": spec, "status": status}
    measured = {"attempt": 1, "package": {"digest": PACKAGE}, "evaluation": {"samples": 9}}
    assert (await seen_of(measured, (there,))).model_version == expected


@pytest.mark.parametrize(
    ("status", "deleted"),
    [case("it is being deleted", {"attempt": 2, "current": CURRENT}, True), case("it is over", {"attempt": 3, "outcome": OUTCOME}, False)],
)
async def test_of_a_run_that_goes_or_is_over_nothing_more_is_read(status: dict[str, Any], deleted: bool) -> None:
    run = {**manifest(deleted=deleted), "status": {"dataset": PINNED, **status}}
    seen = await gathered(CONTROLLER, RUN, [run, dataset(), node_of("gpu-1"), *of_attempt_2(job_of(), pod_of(0))], also=(NODE,))
    stale = () if deleted else (Child(Key("Job", "ns", "run-train-2"), "uid-job", "train", 2),)
    assert seen == Observed(run=seen.run, settings=SETTINGS, gateway_ca="", stale_children=stale)


async def test_a_run_that_is_gone_or_cannot_be_used() -> None:
    assert await gathered(CONTROLLER, RUN, []) is None
    assert isinstance(await gathered(CONTROLLER, RUN, [manifest({"resources": {"limits": {"memory": "5.5.5"}}})]), Invalid)


@pytest.mark.parametrize(
    "found",
    [
        case("its dataset is frozen", (dataset(),)),
        case("its dataset is not frozen", (dataset("False"),)),
        case("it has none", ()),
    ],
)
async def test_the_store_is_tried_as_soon_as_the_run_is_seen(found: tuple[Any, ...]) -> None:
    problem = Blocker("StoreInvalid", "there is a key 'secretkey' and no 'secretKey'")
    store = BlockedStore(problem)
    seen = await seen_of({"dataset": None}, found, store)
    assert (store.asked, seen.store) == (["ns"], problem)


def node_of(name: str) -> dict[str, Any]:
    return {"kind": "Node", "metadata": {"name": name, "uid": f"uid-of-{name}", "resourceVersion": "1", "labels": {}}, "status": {}}


async def test_nodes_of_pods_that_the_cache_lacks_are_asked_for() -> None:
    """The pod of rank 1 has no node yet, and the node of rank 2 is gone."""
    unbound = pod_of(1)
    del unbound["spec"]["nodeName"]
    objects = (node_of("gpu-1"), *of_attempt_2(job_of(), pod_of(0), unbound, pod_of(2, node="gone")))
    run = {**manifest(), "status": {"dataset": PINNED, "attempt": 2, "current": {**CURRENT, "nodes": 3}}}
    for also in ((NODE,), ()):  # with the cache, and without it
        seen = await gathered(CONTROLLER, RUN, [run, *objects], also=also)
        assert [each.name for each in seen.nodes] == ["gpu-1"]


async def test_before_the_first_attempt_a_result_of_the_same_inputs_is_looked_up() -> None:
    first = await seen_of({"attempt": 0}, ())
    documents = FakeStore()
    documents.documents["ns", first.filed_key] = canonical_json(train_result())
    found, later = await seen_of({"attempt": 0}, (), documents), await seen_of({"attempt": 1}, (), documents)
    assert first.filed_key.startswith("results/train/")
    assert (first.filed, found.filed, later.filed) == (None, stored(train_result()), None)


async def test_the_filed_result_is_looked_up_once_the_attempt_has_left_one() -> None:
    first, documents = await seen_of({"attempt": 0}, ()), FakeStore()
    documents.documents["ns", first.filed_key] = canonical_json(train_result())
    before = await seen_of({"attempt": 2, "current": CURRENT}, (), documents)
    documents.documents["ns", result_key(PREFIX)] = canonical_json(train_result())
    after = await seen_of({"attempt": 2, "current": CURRENT}, (), documents)
    assert (before.filed, after.filed) == (None, stored(train_result()))


@pytest.mark.parametrize(
    ("key", "sha256", "problem"),
    [
        case("the last word names the result", result_key(PREFIX), digest_of(canonical_json(train_result())), ""),
        case("the last word names other bytes", result_key(PREFIX), f"sha256:{'0' * 64}", "is not the one that the job wrote"),
        case("the last word names another key", "runs/x/result.json", f"sha256:{'0' * 64}", ""),
    ],
)
async def test_a_result_is_verified_by_the_last_word_of_rank_0(key: str, sha256: str, problem: str) -> None:
    documents = FakeStore()
    documents.documents["ns", result_key(PREFIX)] = canonical_json(train_result())
    ended = pod_of(0, 0)
    (status,) = ended["status"]["containerStatuses"]
    status["state"]["terminated"]["message"] = Termination(code=0, key=key, sha256=sha256).encode().decode()
    seen = await seen_of({"attempt": 2, "current": CURRENT}, of_attempt_2(job_of(), ended), documents)
    assert seen.attempt is not None
    assert seen.attempt.stored is not None
    assert (seen.attempt.stored.result is None, problem in seen.attempt.stored.problem) == (bool(problem), True)


async def test_once_the_job_has_failed_ranks_without_a_pod_are_asked_for_their_cause() -> None:
    documents = FakeStore()
    for rank in (0, 1):
        documents.documents["ns", cause_key(PREFIX, rank)] = canonical_json(cause("BadData", rank))
    status = {"attempt": 2, "current": CURRENT}
    running = await seen_of(status, of_attempt_2(job_of(), pod_of(0)), documents)
    failed = await seen_of(status, of_attempt_2(job_of(("Failed", "")), pod_of(0)), documents)
    assert running.attempt is not None
    assert failed.attempt is not None
    assert (running.attempt.reported, failed.attempt.reported) == ({}, {1: cause("BadData", 1)})


@pytest.mark.parametrize(
    ("evaluating", "expected"),
    [
        case("no evaluation has begun", None, None),
        case("the present evaluation", {"attempt": 2}, StepSeen(job=Job(name="run-evaluate-2"))),
    ],
)
async def test_the_evaluation(evaluating: Any, expected: StepSeen | None) -> None:
    status = {"attempt": 1, "package": {"digest": PACKAGE}, "evaluating": evaluating}
    assert (await seen_of(status, EVALUATES)).evaluation == expected


async def test_the_result_of_an_evaluation_of_the_same_package_is_looked_up() -> None:
    status = {"attempt": 1, "package": {"digest": PACKAGE}, "evaluating": {"attempt": 2}}
    step = evaluate_step(await seen_of(status, ()), 2)
    assert step is not None
    documents = FakeStore()
    documents.documents["ns", evaluate_filed_key(step)] = canonical_json(evaluate_result())
    assert (await seen_of(status, (), documents)).evaluation == StepSeen(filed=stored(evaluate_result()))


DATASET_KEY, NODES_KEY, VERSION_KEY = Key("Dataset", "ns", "tape"), Key("Node", "", "*"), Key("ModelVersion", "ns", "ads-1-0-0")


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        case("its dataset is not pinned", {}, None, [DATASET_KEY]),
        case("it names no dataset", {"datasetRef": None}, {}, []),
        case("between attempts", {}, {"dataset": PINNED}, []),
        case("an attempt is under way", {}, {"dataset": PINNED, "current": CURRENT}, [NODES_KEY]),
        case("it is evaluated", {}, {"dataset": PINNED, "evaluation": {"samples": 1}}, [VERSION_KEY]),
        case("it makes no ModelVersion", {"modelVersion": None}, {"dataset": PINNED, "evaluation": {"samples": 1}}, []),
        case("it is over", {}, {"outcome": OUTCOME, "current": CURRENT}, []),
    ],
)
def test_what_wakes_a_run(spec: Any, status: Any, expected: list[Key]) -> None:
    assert list(depends_on({**manifest(spec), "status": status})) == expected


def test_a_run_without_a_spec_is_woken_by_nothing() -> None:
    assert list(depends_on({"metadata": {"namespace": "ns"}})) == []


EVALUATED = {"attempt": 1, "package": {"digest": PACKAGE}, "evaluating": {"attempt": 1}}


@pytest.mark.parametrize(
    ("step", "status", "outlived"),
    [
        case("the attempt made the package", "train", EVALUATED, ["run-train-1"]),
        case("the evaluation is under way", "evaluate", EVALUATED, []),
        case("the evaluation is recorded", "evaluate", {**EVALUATED, "evaluation": {"samples": 1}}, ["run-evaluate-1"]),
        case("the evaluation was given up", "evaluate", {**EVALUATED, "outcome": OUTCOME}, ["run-evaluate-1"]),
    ],
)
async def test_a_job_whose_pod_is_kept_alive_is_deleted_once_its_outcome_is_recorded(
    step: str, status: dict[str, Any], outlived: list[str]
) -> None:
    kept = pod_of(0, 0, container="train" if step == "train" else "step", ended=60)
    kept["metadata"]["labels"] |= labels(step, 1)
    field = "containerStatuses" if step == "train" else "initContainerStatuses"
    kept["status"][field].append({"name": "mesh", "state": {"running": {}}})
    seen = await seen_of(status, (child(step, 1), kept))
    assert [each.job.key.name for each in seen.outlived] == outlived
    assert [item.key.name for item in plan(outlived_for(seen, 30), NOW).items if isinstance(item, Delete)] == outlived


async def test_what_kubernetes_warned_of_is_read_while_pods_are_missing() -> None:
    about = {"kind": "Event", "metadata": {"name": "e", "namespace": "ns"}, "regarding": {"uid": "uid-job"}, "type": "Warning"}
    event = {**about, "reason": "FailedCreate", "note": "exceeded quota", "eventTime": "2026-01-01T00:00:00Z"}
    part = await seen_of({"attempt": 2, "current": CURRENT}, (*of_attempt_2(job_of(), pod_of(0)), event))
    whole = await seen_of({"attempt": 2, "current": CURRENT}, (*of_attempt_2(job_of(), pod_of(0), pod_of(1)), event))
    assert part.attempt is not None
    assert whole.attempt is not None
    assert (part.attempt.warning, whole.attempt.warning) == ("FailedCreate: exceeded quota", "")
