"""How the present attempt stands. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bramble.contracts.cause import Cause
from bramble.contracts.jobs.train import TrainResult
from bramble.kinds.jobs.explain import CHART_REMEDY, waiting_message
from bramble.kinds.jobs.job import Job
from bramble.kinds.trainingrun.causes import Ending, ending, lost_at
from bramble.kinds.trainingrun.observed import AttemptSeen, Observed
from bramble.kinds.trainingrun.render import TRAIN
from bramble.kinds.trainingrun.world import Node

IMAGE_REMEDY = "make it available, or make another TrainingRun with the right spec.trainer.container.image"


@dataclass(frozen=True, slots=True)
class Absent:
    """No Job of this attempt, and no result."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not every rank runs yet; the message says why and what to do."""

    message: str
    queued: bool = False


@dataclass(frozen=True, slots=True)
class Training:
    """Every rank runs, or has ended well. `look_at`: when a silent node will count as lost."""

    look_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """Its result, verified."""

    result: TrainResult
    content: bytes


@dataclass(frozen=True, slots=True)
class Overran:
    """The run's deadline has passed."""


State = Absent | Waiting | Training | Trained | Overran | Ending


def state_of(seen: Observed, now: datetime) -> State | None:
    """How the attempt in `status.current` stands; None when there is none."""
    if seen.attempt is None:
        return None
    remedy = IMAGE_REMEDY if seen.spec.trainer.container is not None else CHART_REMEDY
    return attempt_state(seen.attempt, {node.name: node for node in seen.nodes}, now, remedy)


def attempt_state(attempt: AttemptSeen, nodes: Mapping[str, Node], now: datetime, image_remedy: str = CHART_REMEDY) -> State:
    """A result in the store is the authority, whatever became of the Job; then the deadline, then the ranks."""
    stored = attempt.stored
    if stored is not None and isinstance(stored.result, TrainResult):
        return Trained(stored.result, stored.content)
    if stored is not None:
        return Ending(Cause(kind="Error", message=stored.problem), settled=True, heard=True, shown=True, next_look=now)
    if attempt.job is not None and attempt.job.overran:
        return Overran()
    if (end := ending(attempt, nodes, now)) is not None:
        return end
    if attempt.job is None:
        return Absent()
    if attempt.job.succeeded:
        message = "every rank ended with 0 but left no result in the store; see rank 0's log"
        return Ending(Cause(kind="Unknown", message=message), settled=True, heard=True, shown=True, next_look=now)
    return _under_way(attempt, attempt.job, nodes, image_remedy)


def _under_way(attempt: AttemptSeen, job: Job, nodes: Mapping[str, Node], image_remedy: str) -> State:
    if job.suspended:
        return Waiting(f"Job {job.name} is queued: Kueue starts it when its queue has room", queued=True)
    missing = attempt.nodes - len(attempt.pods)
    if missing > 0:
        return Waiting(f"{missing} of {attempt.nodes} pods of Job {job.name} are not there yet")
    waiting = [pod for pod in attempt.pods.values() if not pod.has_started(TRAIN)]
    if waiting:
        return Waiting(waiting_message(waiting[0], image_remedy))
    return Training(lost_at(attempt.pods.values(), nodes))
