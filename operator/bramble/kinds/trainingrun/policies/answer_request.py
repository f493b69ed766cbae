"""The requests that a TrainingRun answers: `retry`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bramble.api.objects import StepAttempts
from bramble.api.request import Request
from bramble.kinds import requests
from bramble.kinds.plan import Plan
from bramble.kinds.requests import Accepted, Refused
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import BETWEEN_ATTEMPTS, EVALUATION_FAILED, PACKAGING_FAILED, SUCCEEDED, under_way

FRESH: dict[str, Any] = {"outcome": None, "failures": 0, "disruptions": 0, "stalls": 0, "spent_seconds": 0, "first_cause": None}

UNDER_WAY = (
    "the run has not ended: nothing to retry. A Job that does not start is made anew when spec.jobs, spec.resources or the chart's values"
    " change; spec.suspend pauses the run, deleting it ends it"
)


def answer_request(seen: Observed, now: datetime) -> Plan | None:
    """Retry: a failed run begins again with fresh budgets. A run that has not ended, or has succeeded, refuses it."""

    def decide(_: Request) -> Accepted | Refused:
        ended = seen.status.outcome
        if ended is None:
            return Refused(UNDER_WAY)
        if ended.reason == SUCCEEDED:
            return Refused("the run succeeded: make another TrainingRun to train again")
        message = "the run begins again with fresh budgets, as requested"
        return Accepted(message, under_way(seen.status, "Pending", BETWEEN_ATTEMPTS, message), _again(seen))

    return requests.answer_request(seen.run, now, decide, actions=("retry",), attempt=seen.status.attempt)


def _again(seen: Observed) -> dict[str, Any]:
    """The memory of a retry. If the evaluation failed, only that is repeated; otherwise the run trains again."""
    ended = seen.status.outcome
    fresh = {**FRESH, "evaluating": _next(seen.status.evaluating)}
    if ended is not None and ended.reason == EVALUATION_FAILED:
        return fresh
    if ended is not None and ended.reason == PACKAGING_FAILED:
        fresh["packaging"] = _next(seen.status.packaging)
    return {**fresh, "package": None, "evaluation": None}


def _next(made: StepAttempts | None) -> StepAttempts | None:
    return StepAttempts(attempt=made.attempt + 1) if made is not None else None
