"""The present attempt: its children made, and what it says told."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.kinds.plan import Plan
from bramble.kinds.status_update import report
from bramble.kinds.trainingrun.attempt import attempt
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.render import service
from bramble.kinds.trainingrun.state import Absent, Training, Waiting, state_of
from bramble.kinds.trainingrun.status import QUEUED, STARTING, TRAINING, progress_of, under_way
from bramble.kinds.trainingrun.world import gpus


def train(seen: Observed, now: datetime) -> Plan | None:
    """Make the Service and the Job of the attempt that memory names, then tell how far it is."""
    current, state = seen.status.current, state_of(seen, now)
    if current is None:
        return None
    named = service(seen.owner)
    match state:
        case Absent():
            stated = under_way(seen.status, "Training", STARTING, f"attempt {current.number} is being made on {current.nodes} nodes")
            return report(seen.run, stated, now, items=(named, *attempt(seen, current)), fields={"progress": None})
        case Waiting(message, queued):
            stated = under_way(seen.status, "Training", QUEUED if queued else STARTING, message)
            return report(seen.run, stated, now, items=(named,))
        case Training(look_at):
            told = progress_of(seen.attempt.progress if seen.attempt is not None else None, seen.status.progress)
            stated = under_way(seen.status, "Training", TRAINING, _message(seen), running=True)
            return report(seen.run, stated, now, items=(named,), fields={"progress": told}, wake_at=look_at)
        case _:
            return None


def _message(seen: Observed) -> str:
    current, progress = seen.status.current, seen.attempt.progress if seen.attempt is not None else None
    if current is None:
        return ""
    message = f"attempt {current.number} trains on {current.nodes} nodes"
    if progress is not None and progress.epochs:
        message += f", epoch {progress.epoch} of {progress.epochs}"
        if progress.eta_seconds is not None:
            message += f", about {timedelta(seconds=round(progress.eta_seconds))} left"
    elif progress is not None and progress.message:
        message += f": {progress.message}"
    if gpus(seen.spec) and current.cpu_allowed:
        message += "; on the CPU in place of the GPUs asked for, since every node that fits is labelled bramble.dev/accelerator=simulated"
    return message
