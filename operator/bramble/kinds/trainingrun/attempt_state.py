"""The state of the present attempt. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bramble.contracts.cause import Cause
from bramble.contracts.jobs.train import TrainResult
from bramble.kinds.jobs.explain import CHART_REMEDY, waiting_message
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
        return Overran()
    if (end := ending(attempt, nodes, now, seen.status.first_cause)) is not None:
        return end
    if attempt.job is None and not attempt.begun and not attempt.pods:
        return Absent()
    if attempt.job is not None and attempt.job.succeeded:
        message = "every rank ended with 0 but left no result in the store; see rank 0's log"
        return Ending(Cause(kind="Unknown", message=message), "settled", now)
    return _under_way(attempt, nodes, IMAGE_REMEDY if seen.spec.trainer.container is not None else CHART_REMEDY)


def _under_way(attempt: AttemptSeen, nodes: Mapping[str, Node], image_remedy: str) -> AttemptState:
    if attempt.job is not None and attempt.job.suspended:
        return Waiting(f"Job {attempt.job.name} is queued: Kueue starts it when its queue has room", queued=True)
    missing = attempt.nodes - len(attempt.pods)
    if missing > 0:
        return Waiting(f"{missing} of {attempt.nodes} pods of attempt {attempt.number} are not there yet")
    waiting = [pod for pod in attempt.pods.values() if not pod.has_started(TRAIN)]
    if waiting:
        return Waiting(waiting_message(waiting[0], (TRAIN, FETCH, SIDECAR), image_remedy))
    return Training(lost_at(attempt.pods.values(), nodes))
