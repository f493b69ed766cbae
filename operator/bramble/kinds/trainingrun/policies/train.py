"""The present attempt is made, and its progress is reported."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.api.trainingrun import CurrentAttempt
from bramble.kinds.jobs.waiting import look_again
from bramble.kinds.plan import Item, Plan
from bramble.kinds.status_update import report
from bramble.kinds.trainingrun.attempt import Absent, Training, Waiting
from bramble.kinds.trainingrun.describe import describe_nodes
from bramble.kinds.trainingrun.engines.catalogue import engine_of
from bramble.kinds.trainingrun.nodes import gpus
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.results import progress_of
from bramble.kinds.trainingrun.status import PODS_REFUSED, QUEUED, STARTING, TRAINING, under_way


def train(seen: Observed, now: datetime) -> Plan | None:
    """Make the objects of the attempt that memory names, then report how far it has come."""
    current, engine = seen.status.current, engine_of(seen.spec)
    if current is None:
        return None
    shared = engine.run_children(seen)
    match seen.state:
        case Absent():
            message = f"attempt {current.number} is being made on {describe_nodes(current.nodes)}"
            update = under_way(seen.status, "Training", STARTING, message)
            items: list[Item] = [*shared, *engine.attempt_children(seen, current)]
            return report(seen.run, update, now, items=items, fields={"progress": None})
        case Waiting() if seen.job is not None and seen.job.ends_by is not None and seen.job.ends_by <= now:
            return Plan(
                wake_at=look_again(seen.job.ends_by, now)
            )  # its pods are being deleted: what kept them waiting stays in the condition
        case Waiting(message, queued, refused) as waits:
            update = under_way(seen.status, "Training", QUEUED if queued else PODS_REFUSED if refused else STARTING, message)
            begun = seen.attempt is not None and seen.attempt.begun
            missing = () if begun else engine.attempt_children(seen, current)
            wake_at = look_again(waits.since, now)
            return report(seen.run, update, now, items=(*shared, *missing), wake_at=wake_at).no_later_than(waits.release_at)
        case Training(look_at):
            update = under_way(seen.status, "Training", TRAINING, _message(seen, current), running=True)
            fields = {"progress": progress_of(seen.progress, seen.status.progress)}
            return report(seen.run, update, now, items=shared, fields=fields, wake_at=look_at)
        case _:
            return None


def _message(seen: Observed, current: CurrentAttempt) -> str:
    progress = seen.progress
    message = f"attempt {current.number} trains on {describe_nodes(current.nodes)}"
    if progress is not None and progress.epochs:
        message += f", epoch {progress.epoch} of {progress.epochs}"
        if progress.eta_seconds is not None:
            message += f", about {timedelta(seconds=round(progress.eta_seconds))} left"
    elif progress is not None and progress.message:
        message += f": {progress.message}"
    if gpus(seen.spec) and current.cpu_allowed:
        message += "; on the CPU in place of the GPUs asked for, since every node that fits is labelled bramble.dev/accelerator=simulated"
    return message
