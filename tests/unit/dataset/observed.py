"""Datasets as gather would give them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bramble.api.conditions import find
from bramble.api.dataset import KIND, Status, Version
from bramble.api.objects import Object, parse
from bramble.contracts.canonical import canonical_json
from bramble.contracts.cause import Cause, CauseKind
from bramble.contracts.jobs.snapshot import Finding, SnapshotResult
from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.render import inputs_of
from bramble.kinds.jobs.gather import StepSeen, Stored
from bramble.kinds.jobs.job import Failure, Job
from bramble.kinds.plan import Plan
from bramble.kube.resources import DATASET

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SPEC = {"task": "image-classification", "sources": [{"name": "tape", "s3": {"prefix": "tv/"}, "format": "image-folder"}]}
V1, V2 = ("sha256:" + digit * 64 for digit in "12")
CAUSE = Cause(kind="BadData", message="picture a/1.png is corrupt")


def dataset(*, spec: dict[str, Any] | None = None, annotations: dict[str, str] | None = None, deleted: bool = False, **status: Any) -> Any:
    """Parsed; `inputs` are those of the spec unless given."""
    metadata: dict[str, Any] = {
        "name": "tape",
        "namespace": "ads",
        "uid": "uid-1",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": annotations or {},
    }
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T11:00:00Z"
    whole = {"apiVersion": DATASET.api_version, "kind": "Dataset", "metadata": metadata, "spec": spec or SPEC}
    parsed = parse(KIND, whole)
    assert isinstance(parsed, Object)
    return Object(parsed.metadata, parsed.spec, Status(**{"inputs": inputs_of(parsed.spec), **status}))


def observed(*, seen: dict[str, Any] | None = None, **dataset_fields: Any) -> Observed:
    """With `seen` for what gather found beside the Dataset itself."""
    return Observed(dataset=dataset(**dataset_fields), image="a/convert@sha256:0", **(seen or {}))


def frozen(version: str = V1, attempt: int = 1, *, passed: bool = True) -> dict[str, Any]:
    """The memory of a recorded attempt."""
    return {
        "attempt": attempt,
        "version": version,
        "versions": (Version(version=version, attempt=attempt, samples=3, at="2026-01-01T00:00:00Z"),),
        "passed": passed,
    }


def result(manifest: str = V1, *, findings: tuple[Finding, ...] = ()) -> StepSeen:
    """An attempt that ended well."""
    given = SnapshotResult(
        seconds=1,
        manifest=manifest,
        counts={"train": {"a": 2, "b": 1}, "test": {"a": 1}},
        classes=("a", "b"),
        samples=4,
        bytes=9,
        passed=not any(finding.severity == "error" for finding in findings),
        findings=findings,
        findings_key="runs/x/findings.json",
    )
    return StepSeen(stored=Stored(canonical_json(given), given))


def ended(kind: CauseKind) -> StepSeen:
    """An attempt that failed by such a cause."""
    return StepSeen(job=Job(name="j", failure=Failure("x")), cause=Cause(kind=kind, message="it went wrong"))


def says(plan: Plan, type_: str = "Ready") -> tuple[str, str]:
    """Status and reason of a condition of the plan."""
    assert plan.status is not None
    condition = find(plan.status["conditions"], type_)
    assert condition is not None
    return condition["status"], condition["reason"]
