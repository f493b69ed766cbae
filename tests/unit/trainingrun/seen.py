"""Builders of what a pass looks at. Each one makes the smallest valid value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bramble.api.conditions import rfc3339
from bramble.api.objects import Invalid, Object, parse
from bramble.api.trainingrun import KIND, CurrentAttempt, DatasetPin, EvaluationSeen, GateSeen, PackageSeen, Spec, Status
from bramble.contracts.canonical import canonical_json
from bramble.contracts.cause import Cause, CauseKind
from bramble.contracts.jobs.evaluate import EvaluateResult, Gate, GateOutcome
from bramble.contracts.jobs.train import TrainResult
from bramble.contracts.report import ObjectRef, Progress
from bramble.contracts.tasks.classification import ClassFigures, ClassificationScores
from bramble.kinds.jobs.gather import Stored
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.plan import Plan
from bramble.kinds.trainingrun.attempt import AttemptSeen
from bramble.kinds.trainingrun.attempt_state import attempt_state
from bramble.kinds.trainingrun.nodes import Node
from bramble.kinds.trainingrun.observed import Observed
from bramble.settings import Settings

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UID = "uid-run"
DATASET = f"sha256:{'d' * 64}"
PACKAGE = f"sha256:{'b' * 64}"
SETTINGS = Settings(
    namespace="bramble-system",
    images_train=f"bramble/train@sha256:{'1' * 64}",
    images_convert=f"bramble/convert@sha256:{'2' * 64}",
    images_edge=f"bramble/edge@sha256:{'3' * 64}",
    gateway_url="https://gateway:8443",
)
PIN = DatasetPin(name="tape", uid="uid-dataset", version=DATASET)
TRAINED_PACKAGE = PackageSeen(digest=PACKAGE, epochs=3, device="cpu", image=SETTINGS.images_train)


def case(says: str, *values: Any) -> Any:
    return pytest.param(*values, id=says)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def manifest(spec: Mapping[str, Any] | None = None, annotations: Mapping[str, str] | None = None, deleted: bool = False) -> dict[str, Any]:
    wanted = {
        "datasetRef": {"name": "tape"},
        "trainer": {"builtin": {"task": "image-classification", "architecture": "small-cnn"}},
        "engine": {"torchrun": {"nodes": 2}},
        "modelVersion": {"model": "ads", "version": "1.0.0"},
    }
    metadata: dict[str, Any] = {
        "name": "run", "namespace": "ns", "uid": UID, "generation": 2, "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    if annotations:
        metadata["annotations"] = dict(annotations)
    if deleted:
        metadata["deletionTimestamp"] = rfc3339(NOW)
    changed = {**wanted, **(spec or {})}
    return {
        "apiVersion": "bramble.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": metadata,
        "spec": {name: value for name, value in changed.items() if value is not None},
    }


def observed(
    spec: Mapping[str, Any] | None = None,
    *,
    annotations: Mapping[str, str] | None = None,
    deleted: bool = False,
    status: Mapping[str, Any] | None = None,
    **seen: Any,
) -> Observed:
    """A run with this spec over the least one, and these fields of the status by their Python names."""
    parsed = parse(KIND, manifest(spec, annotations, deleted))
    assert not isinstance(parsed, Invalid), parsed.problem
    run: Object[Spec, Status] = Object(parsed.metadata, parsed.spec, Status(**(status or {})))
    return Observed(run=run, settings=SETTINGS, **seen)


def training(present: AttemptSeen | None = None, *, status: Mapping[str, Any] | None = None, **more: Any) -> Observed:
    """A run with a pinned dataset in the middle of an attempt. Unless told otherwise, both ranks run on nodes that answer."""
    present = present or attempt()
    current = CurrentAttempt(number=present.number, nodes=present.nodes, at=rfc3339(ago(600)))
    memory = {"dataset": PIN, "attempt": present.number, "current": current, **(status or {})}
    seen = observed(status=memory, attempt=present, **{"nodes": NODES, **more})
    return replace(seen, state=attempt_state(seen, NOW))


def job(*conditions: tuple[str, str], started: float = 600, suspend: bool = False, since: float = 1) -> dict[str, Any]:
    """The attempt's Job; conditions as (type, reason), turned True `since` seconds ago."""
    turned = {"status": "True", "message": "", "lastTransitionTime": rfc3339(ago(since))}
    stated = [{"type": type_, "reason": reason, **turned} for type_, reason in conditions]
    return {
        "kind": "Job",
        "metadata": {"name": "run-train-1", "namespace": "ns", "uid": "uid-job", "labels": {"bramble.dev/owner-uid": UID}},
        "spec": {"suspend": True} if suspend else {},
        "status": {"conditions": stated, "startTime": rfc3339(ago(started)), "failed": 1},
    }


def pod(
    rank: int = 0,
    code: int | None = None,
    *,
    node: str | None = None,
    container: str = "train",
    ended: float = 1,
    phase: str = "Running",
    conditions: tuple[dict[str, Any], ...] = (),
    waiting: dict[str, str] | None = None,
    deleted: float | None = None,
) -> dict[str, Any]:
    """A rank's pod. It runs, unless `code` is the exit code with which its container ended `ended` seconds ago.

    Somebody deleted it `deleted` seconds ago, with a grace period of 60 s.
    """
    state: dict[str, Any] = {"running": {}}
    if waiting is not None:
        state = {"waiting": waiting}
    if code is not None:
        state = {"terminated": {"exitCode": code, "finishedAt": rfc3339(ago(ended))}}
    field = "containerStatuses" if container == "train" else "initContainerStatuses"
    metadata: dict[str, Any] = {
        "name": f"run-train-1-{rank}-x",
        "namespace": "ns",
        "labels": {"batch.kubernetes.io/job-completion-index": str(rank)},
    }
    if deleted is not None:
        metadata |= {"deletionTimestamp": rfc3339(ago(deleted - 60)), "deletionGracePeriodSeconds": 60}
    return {
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": node if node is not None else f"gpu-{rank + 1}", "containers": []},
        "status": {"phase": phase, "conditions": list(conditions), field: [{"name": container, "state": state}]},
    }


def disrupted(reason: str = "EvictionByEvictionAPI", seconds: float = 1) -> dict[str, Any]:
    """The condition of a pod that the cluster takes away since so long."""
    turned = rfc3339(ago(seconds))
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "drained", "lastTransitionTime": turned}


def attempt(*pods: dict[str, Any], number: int = 1, nodes: int = 2, job_: dict[str, Any] | None = None, **more: Any) -> AttemptSeen:
    """An attempt with these pods; two running ranks if none are given. An empty dictionary stands for a missing pod."""
    given = pods or (pod(0), pod(1))
    by_rank = {rank: Pod.of(each) for rank, each in enumerate(given) if each}
    return AttemptSeen(number, nodes, Job.of(job_ if job_ is not None else job()), by_rank, **{"begun": True, **more})


def node(name: str, *, ready: bool = True, since: float | None = 3600, gpus: int = 1, simulated: bool = True, **more: Any) -> Node:
    labels = {"bramble.dev/accelerator": "simulated"} if simulated else {}
    room = {name: Decimal(number) for name, number in {"cpu": 4, "memory": 16 * 2**30, "pods": 110, "nvidia.com/gpu": gpus}.items()}
    return Node(
        name=name, ready=ready, since=ago(since) if since is not None else None, labels=more.pop("labels", labels), allocatable=room, **more
    )


NODES = (node("gpu-1"), node("gpu-2"))


def cause(kind: CauseKind, rank: int | None = None, **more: Any) -> Cause:
    return Cause(kind=kind, message=f"{kind} happened", rank=rank, **more)


def progress(epoch: int = 3, epochs: int = 50, **more: Any) -> Progress:
    ref = ObjectRef(kind="TrainingRun", namespace="ns", name="run", uid=UID)
    return Progress(object=ref, step="train", attempt=1, epoch=epoch, epochs=epochs, **more)


def train_result(package: str = PACKAGE) -> TrainResult:
    return TrainResult(seconds=9, package=package, epochs=3, device="cpu", world_size=2)


def stored(result: TrainResult | EvaluateResult | None = None, problem: str = "") -> Stored:
    if problem:
        return Stored(b"", None, problem)
    found = result or train_result()
    return Stored(canonical_json(found), found)


def evaluate_result(accuracy: float = 0.97, *gates: tuple[Gate, float | None, bool]) -> EvaluateResult:
    figures = ClassFigures(samples=100, accuracy=accuracy, precision=0.9, recall=0.9, f1=0.9)
    scores = ClassificationScores(overall=figures, per_class={}, labels=("a", "b"))
    outcomes = tuple(GateOutcome(gate=gate, value=value, passed=passed) for gate, value, passed in gates)
    return EvaluateResult(seconds=1, scores=scores, gates=outcomes)


def evaluated(*gates: tuple[str, float | None, bool]) -> EvaluationSeen:
    seen = tuple(GateSeen(gate=gate, value=value, passed=passed) for gate, value, passed in gates)
    return EvaluationSeen(samples=100, metrics={"accuracy": 0.97}, gates=seen, uri="results/evaluate/x.json")


def condition(plan: Plan | None, type_: str = "Ready") -> tuple[str, str]:
    """Status and reason of a condition in the plan's status."""
    found = next(each for each in stated(plan)["conditions"] if each["type"] == type_)
    return found["status"], found["reason"]


def message(plan: Plan | None, type_: str = "Ready") -> str:
    return str(next(each for each in stated(plan)["conditions"] if each["type"] == type_)["message"])


def stated(plan: Plan | None) -> Mapping[str, Any]:
    assert plan is not None, "the policy returned no plan"
    assert plan.status is not None, "the plan writes no status"
    return plan.status


def remembered(plan: Plan | None) -> Mapping[str, Any]:
    """The status of a plan that changes memory."""
    status = stated(plan)
    assert plan is not None and plan.remember, "the plan changes no memory"  # noqa: PT018
    return status


def made(plan: Plan | None) -> list[tuple[str, str]]:
    """The plan's items, as (type of item, kind of object)."""
    assert plan is not None, "the policy returned no plan"
    return [
        (type(item).__name__, item.manifest["kind"] if hasattr(item, "manifest") else getattr(getattr(item, "key", None), "kind", ""))
        for item in plan.items
    ]
