"""The button of a ModelVersion: retry."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bramble.api.modelversion import Status, TargetSeen
from bramble.api.request import Nonsense, answer, pending
from bramble.kinds.modelversion.observed import Observed
from bramble.kinds.modelversion.status import unchanged
from bramble.kinds.plan import Emit, Plan
from bramble.kinds.status_update import remember

FAILED = "Failed"


def answer_request(seen: Observed, now: datetime) -> Plan | None:
    """Acknowledge a request once: what failed is tried again with fresh budgets. Evidence is never measured anew."""
    asked = pending(seen.version.metadata, seen.status)
    if asked is None:
        return None
    problem, memory = "", _again(seen.status)
    if isinstance(asked, Nonsense):
        problem = asked.problem
    elif asked.action != "retry":
        problem = f"action {asked.action!r} is not one of a ModelVersion; use retry"
    elif not memory:
        problem = "neither the conversion nor a benchmark has failed: nothing to retry (a rejected variant needs a new version)"
    stated = unchanged(seen.status)
    if problem:
        refused = (Emit("Warning", "RequestRefused", problem),)
        return remember(seen.version, stated, now, events=refused, last_request=answer(asked, "Refused", problem, now))
    message = "what failed is tried again with fresh budgets"
    return remember(seen.version, stated, now, last_request=answer(asked, "Accepted", message, now), first_cause=None, **memory)


def _again(status: Status) -> dict[str, Any]:
    """Failed work under its next number, with nothing spent."""
    fresh = {"failures": 0, "disruptions": 0, "state": "Running", "message": ""}
    conversion = status.conversion
    if conversion is not None and conversion.state == FAILED:
        return {"conversion": conversion.model_copy(update={**fresh, "attempt": conversion.attempt + 1})}
    if not any(work.state == FAILED for work in status.benchmarks):
        return {}
    return {"benchmarks": tuple(_fresh(work, fresh) for work in status.benchmarks)}


def _fresh(work: TargetSeen, fresh: dict[str, Any]) -> TargetSeen:
    return work.model_copy(update={**fresh, "attempt": work.attempt + 1}) if work.state == FAILED else work
