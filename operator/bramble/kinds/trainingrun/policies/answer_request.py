"""Somebody requests something of the run by an annotation; the only action is `retry`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bramble.api.objects import StepAttempts
from bramble.api.request import Nonsense, Request, answer, pending
from bramble.kinds.plan import Emit, Plan
from bramble.kinds.status_update import StatusUpdate, remember
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import BETWEEN_ATTEMPTS, EVALUATION_FAILED, SUCCEEDED, under_way

FRESH: dict[str, Any] = {"outcome": None, "failures": 0, "disruptions": 0, "stalls": 0, "spent_seconds": 0, "first_cause": None}


def answer_request(seen: Observed, now: datetime) -> Plan | None:
    """Answer a request once. A failed run begins again with fresh budgets; every other request is refused."""
    asked = pending(seen.run.metadata, seen.status)
    if asked is None:
        return None
    problem = asked.problem if isinstance(asked, Nonsense) else _problem(seen, asked)
    if problem:
        refused = (Emit("Warning", "RequestRefused", problem),)
        return remember(
            seen.run, StatusUpdate(seen.status.phase, ()), now, events=refused, last_request=answer(asked, "Refused", problem, now)
        )
    message = "the run begins again with fresh budgets, as requested"
    stated = under_way(seen.status, "Pending", BETWEEN_ATTEMPTS, message)
    return remember(seen.run, stated, now, last_request=answer(asked, "Accepted", message, now), **_again(seen))


def _problem(seen: Observed, asked: Request) -> str:
    if stale := asked.stale(seen.status.attempt):
        return stale
    if asked.action != "retry":
        return f"action {asked.action!r} is not one of a TrainingRun; use retry"
    ended = seen.status.outcome
    if ended is None:
        return "the run has not ended: nothing to retry (spec.suspend pauses it, deleting it ends it)"
    if ended.reason == SUCCEEDED:
        return "the run succeeded: make another TrainingRun to train again"
    return ""


def _again(seen: Observed) -> dict[str, Any]:
    """The memory fields of a retry. If the evaluation failed, only that is repeated; otherwise the run trains again."""
    ended = seen.status.outcome
    made = seen.status.evaluating
    fresh = {**FRESH, "evaluating": StepAttempts(attempt=made.attempt + 1) if made is not None else None}
    if ended is not None and ended.reason == EVALUATION_FAILED:
        return fresh
    return {**fresh, "package": None, "evaluation": None}
