"""What an attempt's Job, pods and result mean together. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bramble.contracts.cause import Cause, CauseKind, first_cause
from bramble.contracts.jobs.files import AnyResult
from bramble.kinds.jobs.gather import StepSeen, failed, succeeded
from bramble.kinds.jobs.pods import condition, container_cause, disruption_cause, terminated, waiting_message
from bramble.kinds.jobs.render import CONTAINER
from bramble.kube.resources import Manifest

CountsAs = Literal["failure", "disruption", "final"]

COUNTS_AS: dict[CauseKind, CountsAs] = {
    "SpecError": "final",
    "BadData": "final",
    "TryAgain": "disruption",
    "NodeLost": "disruption",
    "PeerLost": "disruption",
    "Terminated": "disruption",
    "Error": "failure",
    "Signal": "failure",
    "Unknown": "failure",
}
"""What an attempt that ended by such a cause takes from which budget; `final` ends the step at once."""


@dataclass(frozen=True, slots=True)
class Absent:
    """No Job of this attempt, and no result of it or of the same inputs."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing of it runs yet; the message says why and what to do."""

    message: str


@dataclass(frozen=True, slots=True)
class Running:
    """Its container runs."""

    node: str | None


@dataclass(frozen=True, slots=True)
class Done:
    """Its result, verified. `filed`: it also lies under the digest of its inputs already."""

    result: AnyResult
    content: bytes
    filed: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """It ended without a result."""

    cause: Cause
    counts_as: CountsAs


StepState = Absent | Waiting | Running | Done | Failed


def step_state(seen: StepSeen) -> StepState:
    """How the attempt stands. A result in the store is the authority, whatever became of the Job."""
    if seen.stored is not None and seen.stored.result is None:
        return Failed(Cause(kind="Error", message=seen.stored.problem), "failure")
    if seen.stored is not None and seen.stored.result is not None:
        return Done(seen.stored.result, seen.stored.content, filed=seen.filed is not None)
    if seen.filed is not None and seen.filed.result is not None:
        return Done(seen.filed.result, seen.filed.content, filed=True)
    if seen.job is None:
        return Absent()
    if failed(seen.job, seen.pods):
        cause = why(seen)
        return Failed(cause, COUNTS_AS[cause.kind])
    if succeeded(seen.job, seen.pods):
        message = "the job ended with 0 but left no result in the store; see its log"
        return Failed(Cause(kind="Unknown", message=message), "failure")
    return _under_way(seen.job, seen.pods)


def _under_way(job: Manifest, pods: tuple[Manifest, ...]) -> StepState:
    name = job["metadata"]["name"]
    if job.get("spec", {}).get("suspend"):
        return Waiting(f"Job {name} is suspended: its queue has no room for it yet")
    if not pods:
        return Waiting(f"Job {name} has no pod yet; `kubectl describe job {name}` says why if it stays so")
    newest = pods[-1]
    statuses = newest.get("status", {}).get("containerStatuses", ())
    if any(status["name"] == CONTAINER and ("running" in status.get("state", {})) for status in statuses) or terminated(newest, CONTAINER):
        return Running(newest.get("spec", {}).get("nodeName"))
    return Waiting(waiting_message(newest))


def why(seen: StepSeen) -> Cause:
    """The first cause: what the job itself says, before what the cluster says, before what the Job says."""
    if seen.cause is not None:
        return seen.cause
    causes = [cause for pod in seen.pods for cause in (disruption_cause(pod), container_cause(pod, CONTAINER)) if cause is not None]
    disrupted = [cause for cause in causes if cause.exit_code is None]
    found = first_cause(disrupted or causes)
    if found is not None:
        return found
    target = (condition(seen.job, "FailureTarget") or condition(seen.job, "Failed")) if seen.job is not None else None
    if target is not None and target.get("reason") == "DeadlineExceeded":
        return Cause(kind="Error", message="the attempt took longer than its deadline and was ended")
    detail = f": {target.get('reason', '')} {target.get('message', '')}" if target is not None else ""
    return Cause(kind="Unknown", message=f"the Job failed and its pod is gone{detail}")
