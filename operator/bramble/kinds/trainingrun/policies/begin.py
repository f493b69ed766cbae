"""The next attempt."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.api.conditions import rfc3339
from bramble.api.objects import moment
from bramble.api.trainingrun import CurrentAttempt
from bramble.kinds.jobs.state import COUNTS_AS
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report
from bramble.kinds.trainingrun.deadline import exceeded, left
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import BETWEEN_ATTEMPTS, STARTING, ended, told_cause, under_way
from bramble.kinds.trainingrun.world import cpu_allowed, torchrun, world_size

FIRST_WAIT_SECONDS = 10


def begin(seen: Observed, now: datetime) -> Plan | None:
    """Decide on the next attempt and remember it; the pass that sees it makes its Job."""
    status = seen.status
    if status.current is not None or status.package is not None:
        return None
    if left(seen.spec, status.spent_seconds) <= 0:
        final = exceeded(seen.spec, status.spent_seconds, now)
        return remember(seen.run, ended(final, status.evaluation), now, outcome=final)
    if (begins := _not_before(seen)) > now:
        why = told_cause(status.first_cause) if status.first_cause is not None else ""
        message = f"attempt {status.attempt + 1} begins at {rfc3339(begins)}; the last one asked for time: {why}"
        return report(seen.run, under_way(status, "Training", BETWEEN_ATTEMPTS, message), now, wake_at=begins)
    cause = status.first_cause
    disrupted = cause is not None and COUNTS_AS[cause.kind] == "disruption"
    current = CurrentAttempt(
        number=status.attempt + 1,
        nodes=world_size(seen.spec, seen.nodes, disrupted=disrupted),
        at=rfc3339(now),
        cpu_allowed=cpu_allowed(seen.spec, seen.nodes),
    )
    smaller = f", fewer than the {torchrun(seen.spec).nodes} wanted" if current.nodes < torchrun(seen.spec).nodes else ""
    message = f"attempt {current.number} begins on {current.nodes} nodes{smaller}"
    stated = under_way(status, "Training", STARTING, message)
    return remember(seen.run, stated, now, attempt=current.number, current=current)


def _not_before(seen: Observed) -> datetime:
    """An attempt that asked to be tried again is given time, twice as long for each in a row; every other follows at once."""
    status = seen.status
    ended_at = moment(status.ended_at) if status.ended_at else datetime.min.replace(tzinfo=seen.run.metadata.created.tzinfo)
    if status.stalls == 0 or status.first_cause is None or status.first_cause.kind != "TryAgain":
        return ended_at
    return ended_at + timedelta(seconds=FIRST_WAIT_SECONDS * 2 ** (status.stalls - 1))
