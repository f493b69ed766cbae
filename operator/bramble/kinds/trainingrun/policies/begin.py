"""The next attempt is decided on."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil
from zlib import crc32

from bramble.api.conditions import rfc3339
from bramble.api.objects import moment
from bramble.api.trainingrun import CurrentAttempt
from bramble.contracts.cause import describe_cause
from bramble.kinds.jobs.state import COUNTS_AS
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import remember, report
from bramble.kinds.trainingrun.budgets import deadline_exceeded, seconds_left
from bramble.kinds.trainingrun.describe import describe_nodes
from bramble.kinds.trainingrun.engines.catalogue import engine_of
from bramble.kinds.trainingrun.nodes import cpu_allowed
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import BETWEEN_ATTEMPTS, INCOMPLETE, STARTING, run_ended, under_way

FIRST_WAIT_SECONDS = 10
"""How long the next attempt waits after the first one that asked to be tried again. The wait doubles with each further one."""

RELEASED_SECONDS, RELEASED_MOST_SECONDS = 30, 1800
"""How long the next attempt waits after one that did not begin to train and was ended. The wait doubles up to half an hour. Up to half a
minute is added, which differs from run to run, so that two runs that took each other's nodes do not do so again."""


def begin(seen: Observed, now: datetime) -> Plan | None:
    """Remember the next attempt; the pass that sees it makes its objects. A run that packages a kept output has none."""
    status, engine = seen.status, engine_of(seen.spec)
    if status.current is not None or status.package is not None or seen.spec.trainer.kept_output is not None:
        return None
    if seconds_left(seen.spec, status.spent_seconds) <= 0:
        final = deadline_exceeded(seen.spec, status.spent_seconds, now)
        return remember(seen.run, run_ended(final, status.evaluation), now, outcome=final)
    cause = status.first_cause
    if (begins := _not_before(seen)) > now:
        if status.released is not None:
            reason, why = INCOMPLETE, f"attempt {status.attempt} did not begin to train: {status.released.message}"
        else:
            described = f": {describe_cause(cause)}" if cause is not None else ""
            reason, why = BETWEEN_ATTEMPTS, f"the last one asked to be tried again later{described}"
        message = f"attempt {status.attempt + 1} begins at {rfc3339(begins)}, since {why}"
        return report(seen.run, under_way(status, "Training", reason, message), now, wake_at=begins)
    disrupted = cause is not None and COUNTS_AS[cause.kind] == "disruption"
    wanted = engine.size(seen.spec, seen.nodes, disrupted=False)
    current = CurrentAttempt(
        number=status.attempt + 1,
        nodes=engine.size(seen.spec, seen.nodes, disrupted=disrupted),
        at=rfc3339(now),
        deadline_seconds=ceil(seconds_left(seen.spec, status.spent_seconds)),
        cpu_allowed=cpu_allowed(seen.spec, seen.nodes),
    )
    smaller = f", fewer than the {wanted} wanted, since no more fit the nodes that are left" if current.nodes < wanted else ""
    message = f"attempt {current.number} begins on {describe_nodes(current.nodes)}{smaller}"
    update = under_way(status, "Training", STARTING, message)
    return remember(seen.run, update, now, attempt=current.number, current=current)


def _not_before(seen: Observed) -> datetime:
    """The earliest time of the next attempt. It follows at once, unless the last one did not begin to train, or asked to be tried
    again and had not got further.
    """
    status = seen.status
    ended_at = moment(status.ended_at) if status.ended_at else datetime.min.replace(tzinfo=seen.run.metadata.created.tzinfo)
    if status.released is not None:
        spread = crc32(f"{seen.run.metadata.uid}/{status.attempt}".encode()) % RELEASED_SECONDS
        return ended_at + timedelta(seconds=spread + min(RELEASED_SECONDS * 2 ** (status.released.times - 1), RELEASED_MOST_SECONDS))
    if status.stalls == 0 or status.first_cause is None or status.first_cause.kind != "TryAgain":
        return ended_at
    return ended_at + timedelta(seconds=FIRST_WAIT_SECONDS * 2 ** (status.stalls - 1))
