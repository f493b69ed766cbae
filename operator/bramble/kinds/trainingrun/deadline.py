"""How long attempts may run in all. Pure."""

from __future__ import annotations

from datetime import datetime

from bramble.api.schema import seconds
from bramble.api.trainingrun import Outcome, Spec
from bramble.kinds.trainingrun.status import DEADLINE_EXCEEDED, outcome


def left(spec: Spec, spent_seconds: int) -> float:
    """Seconds that further attempts may run; infinite without a deadline."""
    return seconds(spec.budgets.deadline) - spent_seconds if spec.budgets.deadline is not None else float("inf")


def exceeded(spec: Spec, spent_seconds: int, now: datetime) -> Outcome:
    """The outcome of a run that has used its time up."""
    allowed = f"spec.budgets.deadline allows attempts to run {spec.budgets.deadline} in all"
    message = f"{allowed} and they ran {spent_seconds} s: raise it to go on from the newest checkpoint"
    return outcome(DEADLINE_EXCEEDED, message, now)
