"""The requests that a Dataset answers: `snapshot`."""

from __future__ import annotations

from datetime import datetime

from bramble.api.request import Request
from bramble.kinds import requests
from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.status import snapshotting
from bramble.kinds.jobs.attempts import with_fresh_budgets
from bramble.kinds.plan import Plan
from bramble.kinds.requests import Accepted


def answer_request(seen: Observed, now: datetime) -> Plan | None:
    """Snapshot the sources again, in a new attempt with fresh budgets."""

    def decide(_: Request) -> Accepted:
        attempts = with_fresh_budgets(seen.attempts)
        message = f"snapshot attempt {attempts.attempt} was requested"
        return Accepted(message, snapshotting(message), {"first_cause": None, **attempts.counters()})

    return requests.answer_request(seen.dataset, now, decide, actions=("snapshot",), attempt=seen.attempts.attempt)
