"""What an attempt's Job, pods and result mean together."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from bramble.contracts.cause import Cause, CauseKind
from bramble.kinds.jobs.explain import JOB_GONE, container_cause, disruption_cause
from bramble.kinds.jobs.gather import StepSeen, Stored
from bramble.kinds.jobs.pod import RANK, Pod
from bramble.kinds.jobs.state import Absent, Done, Failed, Running, Waiting, failure_cause, step_state
from tests.unit.jobs.seen import CONTENT, disrupted, ended, job, pod, result, step_seen, unschedulable, waiting, word

STORED = Stored(CONTENT, result())
CAUSE = Cause(kind="BadData", message="picture a/1.png is corrupt", exit_code=65)


@pytest.mark.parametrize(
    ("name", "seen", "kind"),
    [
        ("there is no Job and no result", step_seen(), Absent),
        ("its Job is gone, and nothing says why it ended", step_seen(begun=True), Failed),
        ("its Job is gone, and so is its ConfigMap, but it has left a cause", step_seen(cause=CAUSE), Failed),
        ("its Job is gone, and its pod is still there", step_seen(begun=True, pods=(pod({"running": {}}),)), Running),
        ("its Job is gone, and its pod has failed", step_seen(begun=True, pods=(pod(ended(1)),)), Failed),
        ("the Job has no pod yet", step_seen(job=job()), Waiting),
        ("the pod is running", step_seen(job=job(), pods=(pod({"running": {}}),)), Running),
        ("a result is there, and the Job is complete", step_seen(job=job(("Complete", "")), stored=STORED), Done),
        ("a result is there, and the Job has gone", step_seen(stored=STORED), Done),
        ("a result is there, and the Job failed: the store is the authority", step_seen(job=job(("Failed", "")), stored=STORED), Done),
        ("the same inputs gave a result before", step_seen(filed=STORED), Done),
        ("the Job completed without a result", step_seen(job=job(("Complete", ""))), Failed),
        ("the Job is about to fail", step_seen(job=job(("FailureTarget", "PodFailurePolicy"))), Failed),
        ("the container failed, and the Job does not say so yet", step_seen(job=job(), pods=(pod(ended(1)),)), Failed),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_how_an_attempt_stands(name: str, seen: StepSeen, kind: type) -> None:
    assert isinstance(step_state(seen), kind), name


@pytest.mark.parametrize(
    ("name", "seen", "told"),
    [
        (
            "no node takes the pod",
            step_seen(job=job(), pods=(pod(node=None, conditions=(unschedulable("0/3 nodes are available: 3 Insufficient cpu."),)),)),
            "cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu. Add such a node",
        ),
        (
            "its image cannot be pulled",
            step_seen(job=job(), pods=(pod(waiting("ErrImagePull", "not found")),)),
            (
                "image a/b@sha256:0 cannot be pulled (ErrImagePull: not found); correct the chart's images values; "
                "from a private registry, ServiceAccount default needs an imagePullSecret"
            ),
        ),
        (
            "its Secret does not exist",
            step_seen(job=job(), pods=(pod(waiting("CreateContainerConfigError", 'secret "bramble-store" not found')),)),
            'cannot be made (CreateContainerConfigError: secret "bramble-store" not found)',
        ),
        ("the pod starts", step_seen(job=job(), pods=(pod(waiting("ContainerCreating")),)), "starts on node n1"),
        ("its queue has no room for the Job", step_seen(job=job(suspend=True)), "is suspended: its queue has no room for it yet"),
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
        ("the job reported its own cause", step_seen(job=job(), pods=(pod(ended(1)),), cause=CAUSE), {"kind": "BadData"}, "final"),
        (
            "the container ended with the code of a spec error",
            step_seen(job=job(), pods=(pod(ended(64)),)),
            {"kind": "SpecError", "exit_code": 64},
            "final",
        ),
        ("the container asked to be tried again", step_seen(job=job(), pods=(pod(ended(75)),)), {"kind": "TryAgain"}, "disruption"),
        ("the container failed", step_seen(job=job(), pods=(pod(ended(1)),)), {"kind": "Error", "exit_code": 1, "node": "n1"}, "failure"),
        ("the container was killed", step_seen(job=job(), pods=(pod(ended(137)),)), {"kind": "Signal", "signal": "SIGKILL"}, "failure"),
        (
            "the container used too much memory",
            step_seen(job=job(), pods=(pod(ended(137, reason="OOMKilled")),)),
            {"signal": "SIGKILL"},
            "failure",
        ),
        (
            "there was no store to report to, so the termination log has the cause",
            step_seen(job=job(), pods=(pod(ended(75, word(key="", code=75, message="store does not answer"))),)),
            {"kind": "TryAgain", "message": "store does not answer"},
            "disruption",
        ),
        (
            "the pod was taken from a lost node, which explains the kill",
            step_seen(job=job(), pods=(pod(ended(137), conditions=(disrupted("DeletionByTaintManager"),)),)),
            {"kind": "NodeLost"},
            "disruption",
        ),
        (
            "the pod was preempted",
            step_seen(job=job(("FailureTarget", "PodFailurePolicy")), pods=(pod(conditions=(disrupted("PreemptionByScheduler"),)),)),
            {"kind": "Disrupted"},
            "disruption",
        ),
        (
            "the pod was evicted, and its job reports that it was asked to end: the cluster knows by whom",
            step_seen(
                job=job(("FailureTarget", "PodFailurePolicy")),
                pods=(pod(ended(75), conditions=(disrupted("EvictionByEvictionAPI"),)),),
                cause=Cause(kind="Disrupted", message="asked to end (SIGTERM)"),
            ),
            {"message": "pod tape-snapshot-1-x was taken away (EvictionByEvictionAPI): taken"},
            "disruption",
        ),
        (
            "the job reports that it was asked to end, and the cluster says nothing: somebody deleted its pod",
            step_seen(job=job(("Failed", "BackoffLimitExceeded")), cause=Cause(kind="Disrupted", message="asked to end (SIGTERM)")),
            {"message": "asked to end (SIGTERM)"},
            "disruption",
        ),
        ("the Job ran longer than its deadline", step_seen(job=job(("Failed", "DeadlineExceeded"))), {"kind": "Error"}, "failure"),
        ("the Job failed, and its pod is gone", step_seen(job=job(("Failed", "BackoffLimitExceeded"))), {"kind": "Unknown"}, "failure"),
        (
            "the result is not the one that the job wrote",
            step_seen(job=job(("Complete", "")), stored=Stored(b"x", None, "is not the one that the job wrote")),
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


def cause_in_pod(kind: CauseKind, message: str, **more: Any) -> Cause:
    """A cause in the pod that `pod` makes."""
    return Cause(kind=kind, message=message, pod="tape-snapshot-1-x", node="n1", **more)


def test_whether_a_result_is_filed_is_told() -> None:
    assert step_state(step_seen(stored=STORED)) == Done(result(), CONTENT, filed=False)
    assert step_state(step_seen(stored=STORED, filed=STORED)) == Done(result(), CONTENT, filed=True)


@pytest.mark.parametrize(
    ("pod_", "expected"),
    [
        (pod(ended(0)), None),
        (pod({"running": {}}), None),
        (
            pod(ended(1)),
            cause_in_pod("Error", "container step failed with exit code 1; its log says why", exit_code=1),
        ),
        (
            pod(ended(143)),
            cause_in_pod("Signal", "container step was ended by SIGTERM", exit_code=143, signal="SIGTERM"),
        ),
        (
            pod(ended(137, reason="OOMKilled")),
            cause_in_pod(
                "Signal",
                "container step used more memory than its limit and was killed; raise its memory limit"
                " (spec.jobs.resources or the chart's jobs.resources)",
                exit_code=137,
                signal="SIGKILL",
            ),
        ),
        (
            pod(ended(65)),
            cause_in_pod("BadData", "container step ended with exit code 65 and left no cause; its log says more", exit_code=65),
        ),
        (
            pod(ended(128, reason="StartError", message='exec: "python3": executable file\nnot found in $PATH')),
            cause_in_pod(
                "SpecError",
                'container step cannot be started (exec: "python3": executable file not found in $PATH);'
                " correct the image, its command or its variables",
                exit_code=128,
            ),
        ),
    ],
    ids=["it ended well", "it runs", "it failed", "a signal ended it", "it used too much memory", "its exit code says why", "no program"],
)
def test_what_the_kubelet_reports_of_a_container(pod_: dict[str, Any], expected: Cause | None) -> None:
    assert container_cause(Pod.of(pod_), "step") == expected


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("DeletionByTaintManager", "NodeLost"),
        ("DeletionByPodGC", "NodeLost"),
        ("EvictionByEvictionAPI", "Disrupted"),
        ("PreemptionByScheduler", "Disrupted"),
        ("TerminationByKubelet", "Disrupted"),
    ],
)
def test_what_the_cluster_reports_of_a_pod_that_it_takes_away(reason: str, kind: Any) -> None:
    taken = pod(conditions=(disrupted(reason),))
    taken["metadata"]["labels"] = {RANK: "3"}
    message = f"pod tape-snapshot-1-x was taken away ({reason}): taken"
    assert disruption_cause(Pod.of(taken)) == cause_in_pod(kind, message, node_rank=3)
    assert disruption_cause(Pod.of(pod())) is None


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (step_seen(job=job()), "Job tape-snapshot-1 has no pod yet; `kubectl describe job tape-snapshot-1` says why if it stays so"),
        (step_seen(job=job(), pods=(pod(node=None),)), "pod tape-snapshot-1-x waits for a node"),
        (step_seen(job=job(), pods=(pod(),)), "pod tape-snapshot-1-x starts on node n1"),
    ],
    ids=["there is no pod", "the pod has no node", "the pod has a node"],
)
def test_what_a_pod_that_does_not_run_waits_for(seen: StepSeen, message: str) -> None:
    assert step_state(seen) == Waiting(message)


def test_what_kubernetes_warned_of_is_said_and_looked_for_again() -> None:
    since = "2026-01-01T12:00:00Z"
    created = {**job(), "metadata": {"name": "tape-snapshot-1", "uid": "u", "creationTimestamp": since}}
    at = datetime.fromisoformat(since)
    quota = step_state(step_seen(job=created, warning="FailedCreate: exceeded quota: tenant"))
    assert quota == Waiting("Job tape-snapshot-1 has no pod (FailedCreate: exceeded quota: tenant)", at)
    mount = step_state(step_seen(job=created, pods=(pod(),), warning='FailedMount: configmap "istio-ca" not found'))
    assert mount == Waiting('pod tape-snapshot-1-x does not start on node n1 (FailedMount: configmap "istio-ca" not found)', at)
    assert step_state(step_seen(job=created, pods=(pod(node=None),))) == Waiting("pod tape-snapshot-1-x waits for a node", at)


def test_the_newest_pod_tells_how_the_attempt_stands() -> None:
    assert step_state(step_seen(job=job(), pods=(pod(), pod({"running": {}}, node="n2")))) == Running("n2")


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (step_seen(job=job(("Failed", "Backoff"))), "the Job failed and its pod is gone: Backoff "),
        (step_seen(begun=True), f"the Job {JOB_GONE}"),
        (
            step_seen(job=job(("Failed", "DeadlineExceeded"))),
            "no pod of Job tape-snapshot-1 was admitted in None s (activeDeadlineSeconds)",
        ),
        (
            step_seen(job=job(("Failed", "DeadlineExceeded"), counts={"failed": 1})),
            "the attempt took longer than its deadline (activeDeadlineSeconds of Job tape-snapshot-1, None) and was ended",
        ),
    ],
    ids=["the Job says why", "the Job is gone", "the Job never had a pod", "the Job ran too long"],
)
def test_what_is_known_without_a_pod(seen: StepSeen, message: str) -> None:
    assert failure_cause(seen).message == message


def guests(*statuses: tuple[str, dict[str, Any]], own: dict[str, Any], phase: str = "Failed", init: bool = False) -> dict[str, Any]:
    """A pod into which something else has put these containers."""
    made = pod(own)
    added = [{"name": name, "image": "mesh/proxy:1", "state": state} for name, state in statuses]
    if init:
        made["status"] |= {"phase": phase, "initContainerStatuses": added}
    else:
        made["status"] |= {"phase": phase, "containerStatuses": [*added, *made["status"]["containerStatuses"]]}
    return made


FAILED = job(("Failed", "BackoffLimitExceeded"))
KUBELET = {**pod(), "status": {"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu"}}


@pytest.mark.parametrize(
    ("name", "found", "kind", "said"),
    [
        (
            "its init container failed, so ours never ran",
            guests(("istio-init", ended(1)), own=waiting("PodInitializing"), init=True),
            "Error",
            "container istio-init, which something else in the cluster has put into the pod, failed with exit code 1",
        ),
        (
            "it was killed for its memory, and another one was stopped after that",
            guests(("agent", ended(143)), ("proxy", ended(137, reason="OOMKilled")), own=ended(0)),
            "Error",
            "container proxy, which something else in the cluster has put into the pod, used more memory than its limit",
        ),
        (
            "our own failed as well, which counts",
            guests(("proxy", ended(1)), own=ended(65)),
            "BadData",
            "container step ended with exit code 65",
        ),
        (
            "the kubelet refused the pod",
            KUBELET,
            "Disrupted",
            "did not run pod tape-snapshot-1-x (OutOfcpu): Node didn't have enough resource",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_said_of_other_peoples_containers(name: str, found: dict[str, Any], kind: str, said: str) -> None:
    state = step_state(step_seen(job=FAILED, pods=(found,)))
    assert isinstance(state, Failed), name
    assert state.cause.kind == kind
    assert said in state.cause.message


def test_a_proxy_that_fails_beside_a_result_does_not_matter() -> None:
    seen = step_seen(job=FAILED, pods=(guests(("proxy", ended(1)), own=ended(0)),), stored=STORED)
    assert isinstance(step_state(seen), Done)


def test_a_proxy_that_ends_while_ours_runs_does_not_matter() -> None:
    seen = step_seen(job=job(), pods=(guests(("proxy", ended(1)), own={"running": {}}, phase="Running"),))
    assert step_state(seen) == Running("n1")


@pytest.mark.parametrize(
    ("name", "found", "said"),
    [
        (
            "its image cannot be pulled",
            guests(("proxy", waiting("ErrImagePull", "not found")), own=waiting("PodInitializing"), phase="Pending", init=True),
            "image mesh/proxy:1 of container proxy, which something else in the cluster has put into the pod, cannot be pulled",
        ),
        (
            "it cannot be made",
            guests(("proxy", waiting("CreateContainerConfigError", "no Secret")), own=waiting("PodInitializing"), phase="Pending"),
            "container proxy, which something else in the cluster has put into the pod, of pod tape-snapshot-1-x cannot be made",
        ),
        (
            "it runs first",
            guests(("proxy-init", {"running": {}}), own=waiting("PodInitializing"), phase="Pending", init=True),
            "starts on node n1, where container proxy-init, which something else in the cluster has put into the pod, already runs",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_peoples_containers_that_are_waited_for(name: str, found: dict[str, Any], said: str) -> None:
    state = step_state(step_seen(job=job(), pods=(found,)))
    assert isinstance(state, Waiting), name
    assert said in state.message
