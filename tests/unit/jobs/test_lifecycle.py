"""A step is created, waited for, repeated, given up and recorded, the same for every kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bramble.api.modelversion import Conversion
from bramble.contracts.canonical import canonical_json
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.convert import ConvertJob, ConvertResult
from bramble.contracts.jobs.evaluate import EvaluateResult
from bramble.kinds.jobs.gather import StepSeen, Stored
from bramble.kinds.jobs.job import Failure, Job
from bramble.kinds.jobs.lifecycle import Finished, GivenUp, NotFiled, Renewed, Repeated, UnderWay, advance
from bramble.kinds.jobs.pod import Container, Pod
from bramble.kinds.jobs.state import Waiting, step_state
from bramble.kinds.jobs.step import Owner, Step
from bramble.kinds.jobs.waiting import look_again
from bramble.kinds.plan import FileResult

OWNER = Owner("ModelVersion", "ads", "tape-1-0-0", "u-1")
DIGEST = f"sha256:{'a' * 64}"
ASKED = ConvertJob(
    object=OWNER.ref, attempt=2, prefix="runs/x", gateway=None, package=DIGEST, manifest=DIGEST, model="tape", version="1.0.0", variants=()
)
STEP = Step(owner=OWNER, job=ASKED, image="convert@sha256:0")
ATTEMPTS = Conversion(attempt=2, failures=1, state="Running")
RESULT = ConvertResult(seconds=1, variants=())
STORED = Stored(canonical_json(RESULT), RESULT)
UNREADABLE = Stored(b"{}", None, "the result in the store is not one this operator knows")


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def step(seen: StepSeen, attempts: Conversion = ATTEMPTS, **more: Any) -> Any:
    return advance("conversion", attempts, STEP, seen, ConvertResult, now=NOW, **more)


def failed(kind: Any) -> StepSeen:
    return StepSeen(job=Job(name="j", failure=Failure("x")), cause=Cause(kind=kind, message="it went wrong", node="pi-1", exit_code=1))


def test_without_a_job_it_is_created() -> None:
    outcome = step(StepSeen())
    assert isinstance(outcome, UnderWay)
    assert outcome.message == "conversion attempt 2 starts"
    assert [item.manifest["kind"] for item in outcome.items] == ["Job", "ConfigMap"]


def test_a_job_without_a_pod_is_waited_for() -> None:
    outcome = step(StepSeen(job=Job(name="j"), begun=True))
    assert outcome == UnderWay("Job j has no pod yet; `kubectl describe job j` says why if it stays so")


def test_a_job_whose_work_has_not_begun_gives_way_to_one_that_is_made_otherwise_and_costs_nothing() -> None:
    outcome = step(StepSeen(job=Job(name="j", had_pods=False, applied="of other resources"), begun=True))
    assert outcome == Renewed(
        Conversion(attempt=3, failures=1, state="Running"),
        "the work of conversion attempt 2 has not begun, and its Job would be made otherwise now: attempt 3 follows, no budget is charged",
    )


PULLING = Pod(name="p", node="n1", containers=(Container(name="step", image="i", waiting="ErrImagePull"),))
RUNS = Pod(name="p", node="n1", containers=(Container(name="step", running=True),))


@pytest.mark.parametrize(
    ("started", "deadline", "pods", "kind"),
    [
        pytest.param(21479, 21600, (PULLING,), UnderWay, id="its image is missing, and the deadline is more than two minutes away"),
        pytest.param(21480, 21600, (PULLING,), Renewed, id="its image is missing, and the deadline is near"),
        pytest.param(
            21480, 21600, (Pod(name="p", unschedulable="no node fits."),), Renewed, id="no node takes it, and the deadline is near"
        ),
        pytest.param(21480, 21600, None, Renewed, id="its pod is refused, and the deadline is near"),
        pytest.param(21601, 21600, (), UnderWay, id="its pod is gone, and may have run until the deadline"),
        pytest.param(21601, 21600, (Pod(name="p", node="n1", deleted=NOW),), UnderWay, id="its pod is deleted, and may have run"),
        pytest.param(
            21480, 21600, (replace(RUNS, deleted=NOW), PULLING), UnderWay, id="an earlier pod worked, and this one takes its place"
        ),
        pytest.param(47, 60, (PULLING,), UnderWay, id="a short deadline is more than a fifth of it away"),
        pytest.param(48, 60, (PULLING,), Renewed, id="a short deadline is near"),
        pytest.param(21599, 21600, (RUNS,), UnderWay, id="it runs"),
        pytest.param(99999, None, (PULLING,), UnderWay, id="there is no deadline"),
    ],
)
def test_a_job_whose_work_does_not_begin_within_its_deadline_costs_nothing(
    started: int, deadline: int | None, pods: Any, kind: type
) -> None:
    """Otherwise three deadlines would use up the budget, and their messages would not say what was missing."""
    began, had_pods, pods = NOW - timedelta(seconds=started), pods is not None, pods or ()
    job = Job(name="j", started=began, since=began, deadline=deadline, had_pods=had_pods)
    outcome = step(StepSeen(job=job, pods=pods, begun=True))
    assert isinstance(outcome, kind)
    if isinstance(outcome, Renewed):
        assert outcome.attempts == Conversion(attempt=3, failures=1, state="Running")
        assert outcome.message.startswith(
            "the work of conversion attempt 2 did not begin within the deadline of its Job: attempt 3 follows"
        )
        state = step_state(StepSeen(job=job, pods=pods, begun=True))
        assert isinstance(state, Waiting)
        assert outcome.message.endswith(state.message)


@pytest.mark.parametrize("deadline", [10, 60, 600, 21600])
def test_a_job_that_waits_is_looked_at_before_its_deadline(deadline: int) -> None:
    """Whenever the object was last looked at before it is given up, the next look falls into the time before the Job's end."""
    job = Job(name="j", started=NOW, since=NOW, deadline=deadline)
    assert job.gives_up_at is not None
    last = job.gives_up_at - timedelta(microseconds=1)
    following = look_again(job.since, last)
    assert following is not None
    assert job.ends_by is not None
    assert job.gives_up_at <= following < job.ends_by


def test_a_config_map_that_was_not_made_with_its_job_is_made_afterwards() -> None:
    """The operator ended in between, or the API server refused it."""
    outcome = step(StepSeen(job=Job(name="j")))
    assert isinstance(outcome, UnderWay)
    assert [item.manifest["kind"] for item in outcome.items] == ["Job", "ConfigMap"]


STARTS = Pod(name="p", node="n1")


@pytest.mark.parametrize(
    ("since", "pods", "begun", "kind"),
    [
        pytest.param(59, (STARTS,), False, UnderWay, id="less than a minute has passed"),
        pytest.param(60, (STARTS,), False, Renewed, id="a minute has passed"),
        pytest.param(999, (), False, UnderWay, id="no pod holds a node"),
        pytest.param(999, (STARTS,), True, UnderWay, id="the ConfigMap is there"),
        pytest.param(999, (RUNS,), False, UnderWay, id="it runs: somebody deleted the ConfigMap afterwards"),
    ],
)
def test_a_pod_whose_config_map_is_refused_does_not_hold_its_node(since: int, pods: Any, begun: bool, kind: type) -> None:
    """A quota was used up after the dry run, and after the Job was made."""
    job = Job(name="j", since=NOW - timedelta(seconds=since), had_pods=bool(pods))
    outcome = step(StepSeen(job=job, pods=pods, begun=begun))
    assert isinstance(outcome, kind)
    if isinstance(outcome, Renewed):
        assert outcome.attempts == Conversion(attempt=3, failures=1, state="Running"), "no budget is charged"
        assert "did not begin within 60 s, without its ConfigMap: attempt 3 follows" in outcome.message


def test_a_running_container_is_waited_for_and_its_node_is_named() -> None:
    pod = Pod(name="p", node="node-1", containers=(Container(name="step", running=True),))
    outcome = step(StepSeen(job=Job(name="j"), pods=(pod,)))
    assert outcome == UnderWay("conversion attempt 2 runs on node node-1")


@pytest.mark.parametrize(
    ("seen", "filed_key", "outcome"),
    [
        pytest.param(StepSeen(stored=STORED), "", Finished(RESULT), id="a step whose results are not filed is finished"),
        pytest.param(
            StepSeen(stored=STORED), "filed/k", NotFiled(FileResult("ads", "filed/k", STORED.content)), id="a result is filed first"
        ),
        pytest.param(StepSeen(stored=STORED, filed=STORED), "filed/k", Finished(RESULT), id="a filed result is finished"),
        pytest.param(StepSeen(filed=STORED), "filed/k", Finished(RESULT), id="a filed result of the same inputs needs no Job"),
    ],
)
def test_results(seen: StepSeen, filed_key: str, outcome: Any) -> None:
    assert step(seen, filed_key=filed_key) == outcome


def test_a_failed_attempt_is_charged_and_followed_by_another() -> None:
    outcome = step(failed("Error"))
    assert isinstance(outcome, Repeated)
    assert outcome.attempts == Conversion(attempt=3, failures=2, state="Running"), "the rest of the memory is kept"
    assert outcome.cause.kind == "Error"
    assert outcome.message == "conversion attempt 2 failed: Error (node pi-1, exit code 1): it went wrong. Attempt 3 follows"


@pytest.mark.parametrize(
    ("kind", "attempts", "charged"),
    [
        pytest.param("Error", Conversion(attempt=3, failures=2), Conversion(attempt=3, failures=3), id="failures are spent"),
        pytest.param("NodeLost", Conversion(attempt=3, disruptions=2), Conversion(attempt=3, disruptions=3), id="disruptions are spent"),
        pytest.param("BadData", Conversion(attempt=1), Conversion(attempt=1), id="the cause is final"),
    ],
)
def test_an_attempt_that_none_may_follow_is_given_up(kind: Any, attempts: Conversion, charged: Conversion) -> None:
    outcome = step(failed(kind), attempts)
    assert isinstance(outcome, GivenUp)
    assert (outcome.attempts, outcome.cause.kind) == (charged, kind)
    assert outcome.message.startswith(f"conversion attempt {attempts.attempt} failed: {kind}")


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        pytest.param(StepSeen(stored=UNREADABLE), UNREADABLE.problem, id="it cannot be read"),
        pytest.param(StepSeen(stored=STORED), "of another board", id="the kind does not accept it"),
    ],
)
def test_a_result_that_cannot_be_used_counts_as_a_failure_and_is_not_filed(seen: StepSeen, problem: str) -> None:
    outcome = step(seen, filed_key="filed/k", problem_of=lambda _: "of another board")
    assert isinstance(outcome, Repeated)
    assert (outcome.attempts.failures, outcome.cause.kind, outcome.cause.message) == (2, "Error", problem)


def test_a_result_of_another_type_is_a_mistake_of_the_kind() -> None:
    with pytest.raises(TypeError, match="no result of type EvaluateResult"):
        advance("evaluation", ATTEMPTS, STEP, StepSeen(stored=STORED), EvaluateResult, now=NOW)
