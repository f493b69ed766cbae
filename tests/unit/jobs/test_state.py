"""What an attempt's Job, pods and result mean together."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.contracts.cause import Cause
from bramble.kinds.jobs.gather import StepSeen, Stored
from bramble.kinds.jobs.state import Absent, Done, Failed, Running, Waiting, step_state
from tests.unit.jobs.seen import CONTENT, disrupted, ended, job, pod, result, unschedulable, waiting, word

STORED = Stored(CONTENT, result())
CAUSE = Cause(kind="BadData", message="picture a/1.png is corrupt", exit_code=65)


@pytest.mark.parametrize(
    ("name", "seen", "kind"),
    [
        ("nothing is there", StepSeen(), Absent),
        ("the Job has no pod yet", StepSeen(job=job()), Waiting),
        ("the pod is running", StepSeen(job=job(), pods=(pod({"running": {}}),)), Running),
        ("a result is there, and the Job is complete", StepSeen(job=job(("Complete", "")), stored=STORED), Done),
        ("a result is there, and the Job has gone", StepSeen(stored=STORED), Done),
        ("a result is there, and the Job failed: the store is the authority", StepSeen(job=job(("Failed", "")), stored=STORED), Done),
        ("the same inputs gave a result before", StepSeen(filed=STORED), Done),
        ("the Job is complete and left nothing", StepSeen(job=job(("Complete", ""))), Failed),
        ("the Job is about to fail: Failed is not awaited", StepSeen(job=job(("FailureTarget", "PodFailurePolicy"))), Failed),
        ("the container failed, and the Job does not know yet", StepSeen(job=job(), pods=(pod(ended(1)),)), Failed),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_how_an_attempt_stands(name: str, seen: StepSeen, kind: type) -> None:
    assert isinstance(step_state(seen), kind), name


@pytest.mark.parametrize(
    ("name", "seen", "told"),
    [
        (
            "no node takes it",
            StepSeen(job=job(), pods=(pod(node=None, conditions=(unschedulable("0/3 nodes are available: 3 Insufficient cpu."),)),)),
            "cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu. Add such a node",
        ),
        (
            "its image cannot be pulled",
            StepSeen(job=job(), pods=(pod(waiting("ErrImagePull", "not found")),)),
            (
                "image a/b@sha256:0 cannot be pulled (ErrImagePull: not found); correct the chart's images values; "
                "from a private registry, ServiceAccount default needs an imagePullSecret"
            ),
        ),
        (
            "its Secret is not there",
            StepSeen(job=job(), pods=(pod(waiting("CreateContainerConfigError", 'secret "bramble-store" not found')),)),
            'cannot be made (CreateContainerConfigError: secret "bramble-store" not found)',
        ),
        ("it is being started", StepSeen(job=job(), pods=(pod(waiting("ContainerCreating")),)), "starts on node n1"),
        ("its queue has no room", StepSeen(job=job(suspend=True)), "is suspended: its queue has no room for it yet"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_why_it_waits(name: str, seen: StepSeen, told: str) -> None:
    state = step_state(seen)
    assert isinstance(state, Waiting), name
    assert told in state.message


@pytest.mark.parametrize(
    ("name", "seen", "cause", "counts"),
    [
        ("its own cause comes first", StepSeen(job=job(), pods=(pod(ended(1)),), cause=CAUSE), {"kind": "BadData"}, "final"),
        ("a spec error", StepSeen(job=job(), pods=(pod(ended(64)),)), {"kind": "SpecError", "exit_code": 64}, "final"),
        ("try again", StepSeen(job=job(), pods=(pod(ended(75)),)), {"kind": "TryAgain"}, "disruption"),
        ("an error of its own", StepSeen(job=job(), pods=(pod(ended(1)),)), {"kind": "Error", "exit_code": 1, "node": "n1"}, "failure"),
        ("killed", StepSeen(job=job(), pods=(pod(ended(137)),)), {"kind": "Signal", "signal": "SIGKILL"}, "failure"),
        ("out of memory", StepSeen(job=job(), pods=(pod(ended(137, reason="OOMKilled")),)), {"signal": "SIGKILL"}, "failure"),
        (
            "no store to leave a cause in: the pod's last word has it",
            StepSeen(job=job(), pods=(pod(ended(75, word(key="", code=75, message="store does not answer"))),)),
            {"kind": "TryAgain", "message": "store does not answer"},
            "disruption",
        ),
        (
            "its node went: that explains the kill",
            StepSeen(job=job(), pods=(pod(ended(137), conditions=(disrupted("DeletionByTaintManager"),)),)),
            {"kind": "NodeLost"},
            "disruption",
        ),
        (
            "preempted",
            StepSeen(job=job(("FailureTarget", "PodFailurePolicy")), pods=(pod(conditions=(disrupted("PreemptionByScheduler"),)),)),
            {"kind": "Terminated"},
            "disruption",
        ),
        ("too long", StepSeen(job=job(("Failed", "DeadlineExceeded"))), {"kind": "Error"}, "failure"),
        ("the pod has gone", StepSeen(job=job(("Failed", "BackoffLimitExceeded"))), {"kind": "Unknown"}, "failure"),
        (
            "the result is not what was written",
            StepSeen(job=job(("Complete", "")), stored=Stored(b"x", None, "is not the one that the job wrote")),
            {"kind": "Error", "message": "is not the one that the job wrote"},
            "failure",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_why_it_failed_and_what_that_costs(name: str, seen: StepSeen, cause: dict[str, Any], counts: str) -> None:
    state = step_state(seen)
    assert isinstance(state, Failed), name
    assert {field: getattr(state.cause, field) for field in cause} == cause
    assert state.counts_as == counts


def test_whether_a_result_is_filed_is_told() -> None:
    assert step_state(StepSeen(stored=STORED)) == Done(result(), CONTENT, filed=False)
    assert step_state(StepSeen(stored=STORED, filed=STORED)) == Done(result(), CONTENT, filed=True)
