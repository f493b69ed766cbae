"""Jobs and pods as the API server shows them, for tables of the job package."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.jobs.snapshot import SnapshotResult
from bramble.contracts.jobs.termination import Termination
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.jobs.step import Owner
from bramble.kube.resources import Manifest

OWNER = Owner("Dataset", "ads", "tape", "uid-1")
PREFIX = "runs/dataset/ads/tape/uid-1/snapshot/1/"


def job(*conditions: tuple[str, str], suspend: bool = False, counts: dict[str, int] | None = None) -> dict[str, Any]:
    """A Job with these conditions True, as (type, reason), and these counts of pods."""
    shown = [{"type": type_, "status": "True", "reason": reason, "message": ""} for type_, reason in conditions]
    return {
        "kind": "Job",
        "metadata": {"name": "tape-snapshot-1"},
        "spec": {"suspend": suspend},
        "status": {"conditions": shown, **(counts or {})},
    }


def pod(state: dict[str, Any] | None = None, *, node: str | None = "n1", conditions: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """A pod whose container `step` is in this state."""
    statuses = [{"name": "step", "image": "a/b@sha256:0", "state": state}] if state is not None else []
    status = {"conditions": list(conditions), "containerStatuses": statuses}
    return {"kind": "Pod", "metadata": {"name": "tape-snapshot-1-x"}, "spec": {"nodeName": node}, "status": status}


def step_seen(job: Manifest | None = None, pods: tuple[Manifest, ...] = (), **more: Any) -> StepSeen:
    """An attempt with this Job and these pods, parsed as a pass parses them."""
    present = Job.of(job) if job is not None else None
    return StepSeen(present, tuple(Pod.of(each) for each in pods), **{"begun": present is not None, **more})


def outlived_for(seen: Any, seconds: float) -> Any:
    """The same pass, whose Jobs that go on have been known to do so for so long."""
    return replace(seen, outlived=tuple(replace(each, seconds=seconds) for each in seen.outlived))


def ended(code: int, message: str = "", reason: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": message, "reason": reason}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def disrupted(reason: str) -> dict[str, Any]:
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "taken"}


def unschedulable(message: str) -> dict[str, Any]:
    return {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}


def result(passed: bool = True) -> SnapshotResult:
    digest = "sha256:" + "a" * 64
    return SnapshotResult(
        seconds=1, manifest=digest, counts={"train": {"a": 2}, "test": {"a": 1}}, classes=("a",), samples=3, bytes=9, passed=passed
    )


CONTENT = canonical_json(result())


def word(key: str = f"{PREFIX}result.json", sha256: str = digest_of(CONTENT), code: int = 0, message: str = "") -> str:
    return Termination(code=code, key=key, sha256=sha256, message=message).encode().decode()
