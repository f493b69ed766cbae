"""What another run left is packaged by one Job, and from then on the run is like any other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bramble.api.objects import StepAttempts
from bramble.api.trainingrun import OutputSeen
from bramble.contracts.canonical import canonical_json
from bramble.contracts.jobs.package import PackagingJob
from bramble.kinds.blockers import Blocker
from bramble.kinds.jobs.gather import StepSeen, Stored
from bramble.kinds.jobs.job import Failure, Job
from bramble.kinds.plan import CreateOnce
from bramble.kinds.trainingrun.kept_output import output_seen
from bramble.kinds.trainingrun.packaging import package_step
from bramble.kinds.trainingrun.plan import plan
from bramble.kinds.trainingrun.policies.package_output import package_output
from tests.unit.trainingrun.kept import DESCRIBED, DESCRIPTION, listing, packaging_result, spec
from tests.unit.trainingrun.seen import (
    NOW,
    PACKAGE,
    PIN,
    case,
    cause,
    condition,
    made,
    message,
    observed,
    remembered,
    stored,
)

ONE = StepAttempts(attempt=1)
FAILED_JOB = Job(name="run-package-1", failure=Failure("BackoffLimitExceeded"))
OUTPUT: OutputSeen = output_seen(listing())
RESULT = Stored(canonical_json(packaging_result()), packaging_result())


def pinned(step: StepSeen | None = None, fields: dict[str, Any] | None = None, **status: Any) -> Any:
    memory = {"dataset": PIN, "kept_output": OUTPUT, "packaging": ONE, **status}
    return observed({**spec(), **(fields or {})}, status=memory, packaging=step)


@pytest.mark.parametrize(
    "seen",
    [
        case("a run that trains", observed(status={"dataset": PIN, "kept_output": OUTPUT})),
        case("packaged before", pinned(package={"digest": PACKAGE})),
    ],
)
def test_nothing_to_do(seen: Any) -> None:
    assert package_output(seen, NOW) is None


def test_the_attempt_is_remembered_before_it_is_made() -> None:
    plan_ = package_output(pinned(packaging=None), NOW)
    assert remembered(plan_)["packaging"]["attempt"] == 1
    assert condition(plan_) == ("False", "Packaging")
    assert sorted(made(package_output(pinned(StepSeen()), NOW))) == [("CreateOnce", "ConfigMap"), ("CreateOnce", "Job")]


def test_a_run_that_packages_makes_no_attempt_at_training() -> None:
    """Before, while and after its output is packaged, a run that packages has no Job that trains and no attempt."""
    for seen in (pinned(packaging=None), pinned(StepSeen()), pinned(StepSeen(stored=RESULT)), pinned()):
        found = plan(seen, NOW)
        names = [item.manifest["metadata"]["name"] for item in found.items if isinstance(item, CreateOnce)]
        assert not [name for name in names if "-train-" in name]
        assert (found.status or {}).get("attempt", 0) == 0


def test_the_job_names_the_pinned_output_and_what_replaces_its_parts() -> None:
    step = package_step(pinned(fields=spec(package=DESCRIBED, graph="best.onnx")), 3)
    assert step is not None
    job = step.job
    assert isinstance(job, PackagingJob)
    assert (job.output, job.graph, job.description, job.model, job.version) == (listing().digest, "best.onnx", DESCRIPTION, "ads", "1.0.0")
    assert step.job_name == "run-package-3"


def test_the_package_is_remembered_with_the_image_and_the_figures_of_the_training() -> None:
    found = package_output(pinned(StepSeen(stored=RESULT)), NOW)
    memory = remembered(found)
    assert memory["package"] == {"digest": PACKAGE, "epochs": 5, "device": "cuda", "image": "theirs@sha256:1", "weights": ""}
    assert (memory["progress"]["summary"], memory["progress"]["worldSize"]) == ("5/5", 8)
    assert "was made, without training, of what attempt 2 of first left" in message(found)


def test_what_is_still_wrong_ends_the_run_and_says_that_the_output_stays_kept() -> None:
    memory = remembered(package_output(pinned(StepSeen(cause=cause("SpecError"), job=FAILED_JOB)), NOW))
    assert memory["outcome"]["reason"] == "PackagingFailed"
    assert "SpecError happened" in memory["outcome"]["message"]
    assert "The output stays kept: correct spec.trainer.keptOutput in another TrainingRun" in memory["outcome"]["message"]


def test_a_disruption_is_followed_by_another_attempt() -> None:
    memory = remembered(package_output(pinned(StepSeen(cause=cause("Disrupted"), job=FAILED_JOB)), NOW))
    assert (memory["packaging"]["attempt"], memory["packaging"]["disruptions"]) == (2, 1)


def test_a_result_of_another_step_is_no_package() -> None:
    found = package_output(pinned(StepSeen(stored=stored(problem="the result in the store is of step train, not package"))), NOW)
    assert remembered(found)["packaging"]["failures"] == 1


def test_a_job_without_a_pod_is_made_anew_once_its_resources_are_corrected() -> None:
    refused = StepSeen(job=Job(name="run-package-1", had_pods=False, applied="of other resources"), begun=True)
    found = package_output(pinned(refused, packaging=StepAttempts(attempt=1, failures=2)), NOW)
    assert remembered(found)["packaging"] == {"attempt": 2, "failures": 2, "disruptions": 0}
    assert "no budget is charged" in message(found)


def test_suspended_no_attempt_goes_on_and_none_begins() -> None:
    """The Job of an attempt that is not the present one is deleted as a stale child."""
    wish = {**spec(), "suspend": True}
    ended = plan(pinned(StepSeen(job=Job(name="run-package-1"), begun=True), wish, packaging=StepAttempts(attempt=1, failures=1)), NOW)
    assert remembered(ended)["packaging"] == {"attempt": 2, "failures": 1, "disruptions": 0}, "no budget is charged"
    assert condition(ended) == ("False", "Suspended")
    waits = plan(pinned(StepSeen(), wish, packaging=StepAttempts(attempt=2)), NOW)
    assert (condition(waits), waits.items, waits.remember) == (("False", "Suspended"), (), False)
    assert "set it to false to package the kept output" in message(waits)


def test_suspended_a_package_that_is_made_is_recorded() -> None:
    assert remembered(plan(pinned(StepSeen(stored=RESULT), {**spec(), "suspend": True}), NOW))["package"]["digest"] == PACKAGE


def test_suspended_the_store_says_first_whether_a_package_was_made() -> None:
    seen = replace(pinned(None, {**spec(), "suspend": True}), store=Blocker("StoreUnavailable", "no answer"))
    assert condition(plan(seen, NOW)) == ("False", "StoreUnavailable")
