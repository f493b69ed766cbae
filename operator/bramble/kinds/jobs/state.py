"""What an attempt's Job, pods and result mean together. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bramble.contracts.cause import Cause, CauseKind, first_cause
from bramble.contracts.jobs.files import AnyResult
from bramble.kinds.jobs.explain import JOB_GONE, disruption_cause, pod_cause, waiting_message
from bramble.kinds.jobs.gather import StepSeen, failed, succeeded
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.jobs.render import CONTAINER

CountsAs = Literal["failure", "disruption", "final"]

COUNTS_AS: dict[CauseKind, CountsAs] = {
    "SpecError": "final",
    "BadData": "final",
    "TryAgain": "disruption",
    "NodeLost": "disruption",
    "Disrupted": "disruption",
    "PeerLost": "disruption",
    "Terminated": "disruption",
    "Error": "failure",
    "Signal": "failure",
    "Unknown": "failure",
}
"""Which budget an attempt that failed for this kind of cause is charged to. `final`: no further attempt can help."""


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no Job of this attempt, and no result of it or of the same inputs."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The container does not run yet; the message says why and what to do.

    Attributes:
        since: since when it waits; None while its queue has no room for it.
    """

    message: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The container runs."""

    node: str | None


@dataclass(frozen=True, slots=True)
class Done:
    """There is a verified result. `filed`: it is also filed under the digest of its inputs."""

    result: AnyResult
    content: bytes
    filed: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt ended without a result."""

    cause: Cause
    counts_as: CountsAs


StepState = Absent | Waiting | Running | Done | Failed


def step_state(seen: StepSeen) -> StepState:
    """The state of the attempt. A result in the store is the authority, whatever the Job says."""
    if seen.stored is not None and seen.stored.result is None:
        return Failed(Cause(kind="Error", message=seen.stored.problem), "failure")
    if seen.stored is not None and seen.stored.result is not None:
        return Done(seen.stored.result, seen.stored.content, filed=seen.filed is not None)
    if seen.filed is not None and seen.filed.result is not None:
        return Done(seen.filed.result, seen.filed.content, filed=True)
    if succeeded(seen.job, seen.pods) and not failed(seen.job, seen.pods):
        message = "the job ended with 0 but left no result in the store; see its log"
        return Failed(Cause(kind="Unknown", message=message), "failure")
    if seen.cause is not None or failed(seen.job, seen.pods) or (seen.job is None and seen.begun and not seen.pods):
        cause = failure_cause(seen)
        return Failed(cause, COUNTS_AS[cause.kind])
    if seen.job is None and not seen.pods:
        return Absent()
    return _under_way(seen.job, seen.pods, seen.warning)


def _under_way(job: Job | None, pods: tuple[Pod, ...], warning: str) -> StepState:
    """The state of an attempt that has not ended. Without a Job, its pods go on or are about to be deleted with it."""
    since = job.since if job is not None else None
    if job is not None and job.suspended:
        return Waiting(f"Job {job.name} is suspended: its queue has no room for it yet")
    if job is not None and not pods:
        said = f" ({warning})" if warning else f" yet; `kubectl describe job {job.name}` says why if it stays so"
        return Waiting(f"Job {job.name} has no pod{said}", since)
    newest = pods[-1]
    if newest.has_started(CONTAINER):
        return Running(newest.node)
    return Waiting(waiting_message(newest, (CONTAINER,), warning=warning), since)


def failure_cause(seen: StepSeen) -> Cause:
    """The first cause: what the job itself reported, else what the cluster and the kubelet report of its pods, else what the Job says.

    The job knows only that it was asked to end; the cluster also says by whom.
    """
    disruptions = [cause for pod in seen.pods if (cause := disruption_cause(pod)) is not None]
    if seen.cause is not None and not (seen.cause.kind == "Disrupted" and disruptions):
        return seen.cause
    ends = [cause for pod in seen.pods if (cause := pod_cause(pod, (CONTAINER,))) is not None]
    found = first_cause(disruptions or ends)
    if found is not None:
        return found
    if seen.job is not None and seen.job.overran and not seen.job.had_pods and not seen.pods:
        return Cause(kind="Error", message=f"no pod of Job {seen.job.name} was admitted in {seen.job.deadline} s (activeDeadlineSeconds)")
    if seen.job is not None and seen.job.overran:
        allowed = f"activeDeadlineSeconds of Job {seen.job.name}, {seen.job.deadline}"
        return Cause(kind="Error", message=f"the attempt took longer than its deadline ({allowed}) and was ended")
    if seen.job is None:
        return Cause(kind="Unknown", message=f"the Job {JOB_GONE}")
    detail = f": {seen.job.failure.reason} {seen.job.failure.message}" if seen.job.failure is not None else ""
    return Cause(kind="Unknown", message=f"the Job failed and its pod is gone{detail}")
