"""The requests that a ModelVersion answers: `retry`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bramble.api.modelversion import FAILED, RUNNING, Conversion, Status, TargetSeen
from bramble.api.request import Request
from bramble.kinds import requests
from bramble.kinds.jobs.attempts import with_fresh_budgets
from bramble.kinds.modelversion.observed import Observed
from bramble.kinds.plan import Plan
from bramble.kinds.requests import Accepted, Refused
from bramble.kinds.status_update import StatusUpdate

FRESH = {"state": RUNNING, "message": ""}


def answer_request(seen: Observed, now: datetime) -> Plan | None:
    """Try again what has failed, with fresh budgets. A board that has been measured is not measured again."""

    def decide(_: Request) -> Accepted | Refused:
        memory = _retry(seen.status)
        if not memory:
            return Refused("neither the conversion nor a benchmark has failed; if a variant was rejected, make a new version")
        return Accepted("what failed is tried again with fresh budgets", StatusUpdate(seen.status.phase, ()), memory)

    return requests.answer_request(seen.version, now, decide, actions=("retry",))


def _retry(status: Status) -> dict[str, Any]:
    """The memory of another attempt at the conversion, or else at each failed benchmark; empty where nothing has failed."""
    if status.conversion is not None and status.conversion.state == FAILED:
        return {"conversion": _again(status.conversion), "first_cause": None}
    if any(target.state == FAILED for target in status.benchmarks):
        targets = tuple(_again(target) if target.state == FAILED else target for target in status.benchmarks)
        return {"benchmarks": targets, "first_cause": None}
    return {}


def _again(attempts: Conversion | TargetSeen) -> Conversion | TargetSeen:
    return with_fresh_budgets(attempts).model_copy(update=FRESH)
