"""The button of a Dataset: snapshot."""

from __future__ import annotations

from datetime import datetime

from bramble.api.request import Nonsense, answer, pending
from bramble.kinds.dataset.observed import Observed
from bramble.kinds.dataset.status import REASON_SNAPSHOTTING, not_snapshotted
from bramble.kinds.plan import Emit, Plan
from bramble.kinds.status_update import StatusUpdate, remember


def answer_request(seen: Observed, now: datetime) -> Plan | None:
    """Acknowledge a request once: a new attempt for `snapshot`, a refusal for anything else."""
    dataset, status = seen.dataset, seen.dataset.status
    asked = pending(dataset.metadata, status)
    if asked is None:
        return None
    problem = asked.problem if isinstance(asked, Nonsense) else asked.stale(status.attempt)
    if not problem and not isinstance(asked, Nonsense) and asked.action != "snapshot":
        problem = f"action {asked.action!r} is not one of a Dataset; use snapshot"
    if problem:
        refused = (Emit("Warning", "RequestRefused", problem),)
        unchanged = StatusUpdate(status.phase, ())
        return remember(dataset, unchanged, now, events=refused, last_request=answer(asked, "Refused", problem, now))
    message = f"snapshot attempt {status.attempt + 1} was requested"
    return remember(
        dataset,
        not_snapshotted(REASON_SNAPSHOTTING, message),
        now,
        last_request=answer(asked, "Accepted", message, now),
        attempt=status.attempt + 1,
        failures=0,
        disruptions=0,
        first_cause=None,
    )
