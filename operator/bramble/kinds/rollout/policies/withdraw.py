"""The Rollout is deleted: take the model off the devices, then let go."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.contracts.assignment import assignment_name
from bramble.kinds.finalizer import has_finalizer, remove_finalizer
from bramble.kinds.plan import NOTHING, Delete, Plan
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.stating import act, names, waiting
from bramble.kube.resources import CONFIG_MAP, Key

LONGEST = timedelta(minutes=10)
RETRY = timedelta(seconds=5)


def withdraw(seen: Observed, now: datetime) -> Plan | None:
    """Remove the assignment, wait until the devices have stopped serving the model, at most ten minutes, then remove the finalizer."""
    metadata = seen.metadata
    if metadata.deleted is None:
        return None
    if not has_finalizer(metadata):
        return NOTHING
    if seen.written is not None and seen.ours is not None:
        assignment = seen.ours
        name = assignment_name(assignment.fleet, assignment.namespace, assignment.model)
        stated = waiting(seen, "Withdrawing", "taking the model off the devices")
        return act(seen, stated, now, Delete(Key(CONFIG_MAP.kind, seen.namespace, name), seen.written.uid), wake_at=now + RETRY)
    had = seen.status.stable is not None or seen.status.candidate is not None
    holding = seen.serving_ours() | set(seen.unreachable if had else ())
    if holding and now < metadata.deleted + LONGEST:
        stated = waiting(seen, "Withdrawing", f"waiting for {names(holding)} to stop serving, until ten minutes after the deletion")
        return act(seen, stated, now, wake_at=now + RETRY)
    return Plan((remove_finalizer(metadata),))
