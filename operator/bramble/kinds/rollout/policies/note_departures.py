"""Nodes that have the candidate are no longer in the fleet: their Node was deleted, or its labels changed."""

from __future__ import annotations

from datetime import datetime

from bramble.api.rollout import NAMES_KEPT
from bramble.kinds.plan import Plan
from bramble.kinds.rollout import memory, reasons
from bramble.kinds.rollout.arrivals import arrivals_of
from bramble.kinds.rollout.losses import unheard_with_candidate
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import names, progressing, remember_rollout


def note_departures(seen: Observed, now: datetime) -> Plan | None:
    """Remember those that had taken the candidate, so that they count as lost when they are silent, as if they were still in the fleet.

    Otherwise a version that kills its canaries would pass as soon as somebody removes the dead nodes. The step waits for other nodes, and
    watches them from the beginning, if too few are left.
    """
    status, assignment, candidate = seen.status, seen.assignment, seen.status.candidate
    if candidate is None or assignment is None or seen.fleet.blocker is not None or assignment.attempt != status.attempt:
        return None
    gone = frozenset(assignment.candidate_nodes) - seen.fleet.nodes.keys() - frozenset(status.departed)
    unheard = unheard_with_candidate(status, seen.nodes, last_step=seen.at_last_step)
    took = seen.nodes.last_reported_on(candidate, gone) | (gone & unheard)
    departed = (*status.departed, *sorted(took))[:NAMES_KEPT]
    again = bool(gone and status.step_started_at) and not arrivals_of(seen, candidate).enough
    if departed == status.departed and not again:
        return None
    message = f"{names(gone)} left the fleet with {candidate.ref}, and will count as lost if it falls silent"
    if again:
        message = f"{names(gone)} left the fleet with {candidate.ref}: step {seen.index + 1} waits for other nodes"
    changes = {"departed": departed, **(memory.waits_again(now) if again else {})}
    return remember_rollout(seen, progressing(seen, reasons.WAITING_FOR_NODES, message), now, **changes)
