"""The state of the present attempt. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from bramble.api.conditions import find
from bramble.api.trainingrun import Status
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.train import TrainResult
from bramble.kinds.jobs.explain import CHART_REMEDY, first_waiting, is_stuck, stuck_since, waiting_message
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.waiting import FAILED_CREATE
from bramble.kinds.trainingrun.attempt import (
    FETCH,
    SIDECAR,
    TRAIN,
    Absent,
    AttemptSeen,
    AttemptState,
    Ending,
    Overran,
    Trained,
    Training,
    Waiting,
)
from bramble.kinds.trainingrun.causes import ending, lost_at
from bramble.kinds.trainingrun.nodes import Node
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import PODS_REFUSED

IMAGE_REMEDY = "make it available, or make another TrainingRun with the right spec.trainer.container.image"


def attempt_state(seen: Observed, now: datetime) -> AttemptState | None:
    """The state of the attempt in `status.current`; None if there is none, or if the store that may hold its result cannot be read.

    A result in the store is the authority, whatever the Job says. After it come the deadline, then the ranks.
    """
    attempt, nodes = seen.attempt, {node.name: node for node in seen.nodes}
    if attempt is None:
        return None
    if seen.store is not None:
        return ending(attempt, nodes, now, seen.status.first_cause)
    if (stored := attempt.stored) is not None:
        if isinstance(stored.result, TrainResult):
            return Trained(stored.result, stored.content)
        return Ending(Cause(kind="Error", message=stored.problem), "settled", now)
    if attempt.job is not None and attempt.job.overran:
        if not attempt.job.had_pods and not attempt.pods:
            return _never_ran(attempt, seen.status, now)
        return _shortened(seen, attempt.job, now) or Overran()
    if (end := ending(attempt, nodes, now, seen.status.first_cause)) is not None:
        return end
    if attempt.job is None and not attempt.begun and not attempt.pods:
        return Absent()
    if attempt.job is not None and attempt.job.succeeded:
        message = "every rank ended with 0 but left no result in the store; see rank 0's log"
        return Ending(Cause(kind="Unknown", message=message), "settled", now)
    return _under_way(attempt, nodes, now, IMAGE_REMEDY if seen.spec.trainer.container is not None else CHART_REMEDY)


REFUSED_SECONDS = 60
"""How long pods of an attempt hold their nodes while the API server refuses the others, or the ConfigMap that they mount."""

UNSCHEDULED_SECONDS = 300
"""How long some pods of an attempt hold their nodes while no node takes the others. A cluster autoscaler needs some minutes for a node. The
launchers wait for each other for twice as long."""

UNSTARTED_SECONDS = 600
"""How long a pod of an attempt holds its node while it is stuck there: it lacks an image, a volume, or settings such as a Secret. By then
the kubelet has tried to pull an image about six times."""


def _under_way(attempt: AttemptSeen, nodes: Mapping[str, Node], now: datetime, image_remedy: str) -> AttemptState:
    if attempt.job is not None and attempt.job.suspended:
        return Waiting(f"Job {attempt.job.name} is queued: Kueue starts it when its queue has room", queued=True)
    since = attempt.job.since if attempt.job is not None else None
    missing = attempt.nodes - len(attempt.pods)
    if missing > 0:
        refused = attempt.warning.startswith(FAILED_CREATE)
        said = f" ({attempt.warning})" if attempt.warning else ""
        message = f"{missing} of {attempt.nodes} pods of attempt {attempt.number} are not there yet{said}"
        release_at = _release_at(attempt, since, REFUSED_SECONDS) if refused else None
        return Waiting(message, refused=refused, since=since, release_at=_sooner(release_at, _given_up_at(attempt)) if refused else None)
    waiting = [pod for pod in attempt.pods.values() if not pod.has_started(TRAIN)]
    if waiting:
        first = first_waiting(waiting)
        release_at = None
        if first.unschedulable is not None:
            release_at = _release_at(attempt, since, UNSCHEDULED_SECONDS)
        elif is_stuck(first):
            release_at = _release_at(attempt, stuck_since(first, first.bound or since, now), UNSTARTED_SECONDS)
        if attempt.job is not None and not attempt.begun and not _has_begun(attempt):
            release_at = _sooner(release_at, _release_at(attempt, since, REFUSED_SECONDS))
        message = waiting_message(first, (TRAIN, FETCH, SIDECAR), image_remedy, attempt.warning)
        since = since if first.node is not None else None
        return Waiting(message, since=since, release_at=_sooner(release_at, _given_up_at(attempt)))
    return Training(lost_at(attempt.pods.values(), nodes))


def _shortened(seen: Observed, job: Job, now: datetime) -> Ending | None:
    """The end of an attempt that had less time than Bramble gave it. The run's time is not over, and another attempt would end so too."""
    asked = seen.status.current.deadline_seconds if seen.status.current is not None else 0
    if job.deadline is None or job.deadline >= asked:
        return None
    message = (
        f"Job {job.name} was ended after {job.deadline} s (activeDeadlineSeconds), and Bramble had asked for {asked}: a policy of the"
        " cluster changed it; whoever runs that must let Bramble's Jobs run longer"
    )
    return Ending(Cause(kind="Error", message=message), "settled", now)


def _never_ran(attempt: AttemptSeen, status: Status, now: datetime) -> Waiting:
    """The state of an attempt whose Job ended by the run's deadline without ever having a pod: that time was not spent on training.

    The newest Event about the Job tells of the deadline by now. The condition still has why its pods were refused.
    """
    ready = find(status.conditions, "Ready")
    why = f": {ready['message']}" if ready is not None and ready["reason"] == PODS_REFUSED else ""
    return Waiting(f"none of the {attempt.nodes} pods of attempt {attempt.number} was admitted{why}", refused=True, release_at=now)


def _release_at(attempt: AttemptSeen, since: datetime | None, seconds: float) -> datetime | None:
    """When the attempt, which has waited since then, is ended; None if none of its pods holds a node."""
    if since is None or all(pod.node is None for pod in attempt.pods.values()):
        return None
    return since + timedelta(seconds=seconds)


def _given_up_at(attempt: AttemptSeen) -> datetime | None:
    """When an attempt is given up before its Job's deadline ends it; None if its work has or may have begun."""
    return attempt.job.gives_up_at if attempt.job is not None and not _has_begun(attempt) else None


def _has_begun(attempt: AttemptSeen) -> bool:
    """Whether a pod has begun to fetch data, which is work, or may have: it is being deleted."""
    return any(pod.deleted is not None or pod.has_started(name) for pod in attempt.pods.values() for name in (FETCH, TRAIN))


def _sooner(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
