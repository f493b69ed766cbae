"""What an attempt left is remembered, named in the message, and found also when it was uploaded after the attempt was charged."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.trainingrun import Outcome
from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.jobs.train import TrainResult
from bramble.contracts.store import blob_key, cause_key, result_key
from bramble.errors import StoreUnavailable
from bramble.kinds.trainingrun.attempt import Ending
from bramble.kinds.trainingrun.controller import CONTROLLER, depends_on
from bramble.kinds.trainingrun.kept_output import output_seen
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.policies.attempt_fails import attempt_fails
from bramble.kinds.trainingrun.policies.note_output import note_output
from bramble.kinds.trainingrun.policies.reuse import reuse
from bramble.kinds.trainingrun.policies.take_output import take_output
from bramble.kinds.trainingrun.policies.trained import trained
from bramble.kube.resources import Key
from tests.unit.engine.replica import FakeStore
from tests.unit.jobs.reading import BrokenStore, gathered
from tests.unit.trainingrun.kept import SOURCE_UID, listing, output, prefix, source, spec
from tests.unit.trainingrun.seen import (
    DATASET,
    NOW,
    PACKAGE,
    PIN,
    UID,
    attempt,
    case,
    cause,
    condition,
    job,
    manifest,
    message,
    observed,
    pod,
    remembered,
    stored,
    training,
)
from tests.unit.trainingrun.test_gather import labels, of_attempt_2

KEPT = output_seen(listing())
ADVICE = "Another TrainingRun with spec.trainer.keptOutput.trainingRunRef.name: run packages what attempt 2 left, without training"
ENDED = Outcome(reason="SpecError", message="attempt 2 failed", at="2026-01-02T03:04:05Z")
OWN = prefix(2, "run", UID)


def failing(kind: Any, **more: Any) -> Observed:
    failed = attempt(pod(0, code=64), pod(1), job_=job(("FailureTarget", "")), reported={0: cause(kind, 0)})
    return training(failed, **more)


@pytest.mark.parametrize(("kind", "reason"), [("SpecError", "SpecError"), ("Error", "FailureBudgetSpent")])
def test_a_run_that_ends_names_what_is_kept_and_what_to_do_with_it(kind: str, reason: str) -> None:
    seen = failing(kind, listing=listing(), spec=None)
    assert isinstance(seen.state, Ending)
    budgets = observed({"budgets": {"failures": 0}}, status={"dataset": PIN}).run.spec
    run = type(seen.run)(seen.run.metadata, budgets, seen.run.status)
    plan = attempt_fails(Observed(run=run, settings=seen.settings, attempt=seen.attempt, state=seen.state, listing=seen.listing), NOW)
    memory = remembered(plan)
    assert memory["outcome"]["reason"] == reason
    assert ADVICE in memory["outcome"]["message"]
    assert (memory["keptOutput"]["attempt"], memory["keptOutput"]["files"]) == (2, 2)
    assert ADVICE in message(plan)


def test_without_an_output_the_advice_is_the_former_one() -> None:
    memory = remembered(attempt_fails(failing("SpecError"), NOW))
    assert "Another attempt would fail in the same way" in memory["outcome"]["message"]
    assert "keptOutput" not in memory


def test_a_result_names_its_output_and_so_does_one_that_was_filed() -> None:
    result = TrainResult(seconds=9, package=PACKAGE, epochs=3, device="cpu", world_size=2, output=listing().digest)
    seen = training(attempt(pod(0, code=0), pod(1, code=0), stored=stored(result)), listing=listing())
    assert remembered(trained(seen, NOW))["keptOutput"]["run"] == "first"
    seen = observed(status={"dataset": PIN}, filed=stored(result), listing=listing())
    assert remembered(reuse(seen, NOW))["keptOutput"]["digest"] == listing().digest


def test_output_that_was_uploaded_late_is_remembered_and_told() -> None:
    seen = observed(status={"dataset": PIN, "attempt": 2, "outcome": ENDED}, late_output=listing())
    plan = note_output(seen, NOW)
    memory = remembered(plan)
    assert memory["keptOutput"]["attempt"] == 2
    assert memory["outcome"]["message"].startswith(f"attempt 2 failed. {ADVICE}")
    assert condition(plan, "Failed") == ("True", "SpecError")
    assert note_output(observed(status={"outcome": ENDED}), NOW) is None


def test_between_attempts_it_is_remembered_and_nothing_else_changes() -> None:
    seen = observed(status={"dataset": PIN, "attempt": 2, "phase": "Training"}, late_output=listing())
    memory = remembered(note_output(seen, NOW))
    assert (memory["phase"], memory["keptOutput"]["attempt"], memory.get("conditions", [])) == ("Training", 2, [])


async def seen_of(status: dict[str, Any], *children: dict[str, Any], documents: FakeStore | None = None) -> Observed:
    run = {**manifest(), "status": {"dataset": {"name": "tape", "uid": "u", "version": DATASET}, "attempt": 2, **status}}
    seen = await gathered(CONTROLLER, Key("TrainingRun", "ns", "run"), [run, *children], documents)
    assert isinstance(seen, Observed)
    return seen


def store_with(*keys: str, **fields: Any) -> FakeStore:
    documents = FakeStore()
    for key in keys:
        documents.documents["ns", key] = output(**fields).encode()
    return documents


def ending_pod() -> dict[str, Any]:
    found = pod(0, code=1)
    found["metadata"]["labels"] |= labels("train", 2)
    return found


OVER = {"outcome": {"reason": "SpecError", "message": ""}}


@pytest.mark.parametrize(
    ("status", "pods", "found"),
    [
        case("the run is over and a pod ends", OVER, (ending_pod(),), True),
        case("between attempts", {}, (ending_pod(),), True),
        case("no pod is left", OVER, (), False),
        case("it is known", {**OVER, "keptOutput": {"attempt": 2}}, (ending_pod(),), False),
        case("that of an earlier attempt is", {**OVER, "keptOutput": {"attempt": 1}}, (ending_pod(),), True),
        case("the attempt gave a package", {**OVER, "package": {"digest": PACKAGE}}, (ending_pod(),), False),
    ],
)
async def test_late_output_is_read_while_pods_of_the_attempt_end(
    status: dict[str, Any], pods: tuple[dict[str, Any], ...], found: bool
) -> None:
    key = f"{OWN}output.json"
    seen = await seen_of(status, *pods, documents=store_with(key))
    assert (seen.late_output is not None) == found


async def test_a_store_that_is_away_does_not_change_a_run_that_is_over() -> None:
    seen = await seen_of(OVER, ending_pod(), documents=BrokenStore(StoreUnavailable("away")))
    assert (seen.late_output, seen.store) == (None, None)


async def test_the_output_of_a_failing_attempt_is_read_once_rank_0_has_ended() -> None:
    documents = store_with(f"{OWN}output.json")
    documents.documents["ns", cause_key(OWN, 1)] = canonical_json(cause("Error", 1))
    current = {"current": {"number": 2, "nodes": 2}}
    early = await seen_of(current, *of_attempt_2(job(("FailureTarget", "")), pod(0), pod(1, code=1)), documents=documents)
    late = await seen_of(current, *of_attempt_2(job(("FailureTarget", "")), pod(0, code=1), pod(1, code=1)), documents=documents)
    assert early.listing is None
    assert late.listing is not None
    assert late.listing.digest == digest_of(output().encode())


async def test_the_output_of_a_result_is_read_by_its_digest() -> None:
    content = output().encode()
    result = TrainResult(seconds=9, package=PACKAGE, epochs=3, device="cpu", world_size=2, output=digest_of(content))
    documents = FakeStore()
    documents.documents["ns", result_key(OWN)] = canonical_json(result)
    documents.documents["ns", blob_key(digest_of(content))] = content
    current = {"current": {"number": 2, "nodes": 2}}
    seen = await seen_of(current, *of_attempt_2(job(("Complete", "")), pod(0, code=0), pod(1, code=0)), documents=documents)
    assert seen.listing is not None
    assert seen.listing.uri == blob_key(digest_of(content))


async def source_seen(run: dict[str, Any] | None, documents: FakeStore, **kept: Any) -> Observed:
    objects = [manifest(spec(**kept)), *([run] if run is not None else [])]
    seen = await gathered(CONTROLLER, Key("TrainingRun", "ns", "run"), objects, documents)
    assert isinstance(seen, Observed)
    return seen


ONE, TWO = f"{prefix(1)}output.json", f"{prefix(2)}output.json"
NAMED = {"keptOutput": {"attempt": 2, "digest": digest_of(output().encode())}}


@pytest.mark.parametrize(
    ("run", "kept", "documents", "attempt_"),
    [
        case("the one in status", source(**NAMED), {}, store_with(blob_key(digest_of(output().encode()))), 2),
        case("another document of that digest", source(**NAMED), {}, store_with(blob_key(digest_of(output().encode())), epochs=6), None),
        case("the newest that the status does not name", source(), {}, store_with(ONE, TWO), 2),
        case("an earlier one", source(), {}, store_with(ONE, attempt=1), 1),
        case("the attempt that the spec names", source(**NAMED), {"attempt": 1}, store_with(ONE, attempt=1), 1),
        case("it still trains", source(outcome=None), {}, store_with(TWO), None),
        case("it still trains, and the spec names the attempt", source(outcome=None), {"attempt": 2}, store_with(TWO), 2),
        case("it was evaluated without an end", source(outcome=None, package={"digest": PACKAGE}), {}, store_with(TWO), 2),
        case("nothing is there", source(), {}, FakeStore(), None),
    ],
)
async def test_the_output_of_the_other_run(run: dict[str, Any], kept: dict[str, Any], documents: FakeStore, attempt_: int | None) -> None:
    found = (await source_seen(run, documents, **kept)).source
    assert found is not None
    assert (found.listing.output.attempt if found.listing is not None else None) == attempt_
    assert found.dataset is not None
    assert found.dataset.version == DATASET


async def test_which_attempts_left_an_output_is_told_if_the_one_that_the_spec_names_left_none() -> None:
    found = (await source_seen(source(**NAMED), store_with(ONE, attempt=1), attempt=9)).source
    assert found is not None
    assert (found.listing, found.attempts, found.kept_attempts) == (None, 2, (1, 2))


async def test_there_is_no_other_run() -> None:
    seen = await source_seen(None, FakeStore())
    assert (seen.source, seen.dataset) == (None, None)
    assert SOURCE_UID not in str(seen)


def waiting(name: str, other: str, **status: Any) -> dict[str, Any]:
    """A run that packages what another one leaves."""
    made = manifest({"trainer": {"keptOutput": {"trainingRunRef": {"name": other}}}, "engine": None})
    made["metadata"] |= {"name": name, "uid": f"uid-{name}"}
    return {**made, "status": status}


@pytest.mark.parametrize(
    ("runs", "circle"),
    [
        case("itself", [waiting("run", "run")], ("run", "run")),
        case("two runs name each other", [waiting("run", "b"), waiting("b", "run")], ("run", "b", "run")),
        case(
            "a circle that it is no part of",
            [waiting("run", "b"), waiting("b", "c"), waiting("c", "b")],
            ("run", "b", "c", "b"),
        ),
        case("the other one has pinned an output", [waiting("run", "b"), waiting("b", "run", dataset={"name": "tape"})], ()),
        case("the last one trains", [waiting("run", "b"), waiting("b", "first"), source()], ()),
        case("the last one is not there", [waiting("run", "b"), waiting("b", "c")], ()),
        case("more runs than are followed", [waiting("run", "0"), *(waiting(str(n), str(n + 1)) for n in range(200))], ()),
    ],
)
async def test_runs_that_wait_for_each_other_are_found(runs: list[dict[str, Any]], circle: tuple[str, ...]) -> None:
    seen = await gathered(CONTROLLER, Key("TrainingRun", "ns", "run"), runs)
    assert isinstance(seen, Observed)
    assert seen.circle == circle
    refused = take_output(seen, NOW)
    assert (condition(refused) == ("False", "InvalidSpec")) == bool(circle)
    if circle:
        assert f"{', '.join(circle)}; name a run that trained" in message(refused)


def test_the_other_run_wakes_this_one_until_its_output_is_pinned() -> None:
    run = manifest(spec())
    assert Key("TrainingRun", "ns", "first") in set(depends_on(run))
    assert Key("TrainingRun", "ns", "first") not in set(depends_on({**run, "status": {"dataset": {"name": "tape"}}}))
