"""The Rollout is deleted: withdraws the model from the devices, then removes the finalizer."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.contracts.assignment import assignment_name
from bramble.kinds.finalizer import has_finalizer, remove_finalizer
from bramble.kinds.plan import NOTHING, Delete, Item, Plan
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.elapsed import deletion_event
from bramble.kinds.rollout.ledger_store import ledger_name
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import names, report_rollout, waiting
from bramble.kube.resources import CONFIG_MAP, Key

LONGEST_WAIT = timedelta(minutes=10)
LOOK_AGAIN = timedelta(seconds=5)


def withdraw(seen: Observed, now: datetime) -> Plan | None:
    """Delete the assignment, wait for the devices to stop serving the model, ten minutes at most, then remove the finalizer."""
    metadata = seen.metadata
    if metadata.deleted is None:
        return None
    if not has_finalizer(metadata):
        return NOTHING
    if seen.written is not None and seen.assignment is not None:
        assignment = seen.assignment
        name = assignment_name(assignment.fleet, assignment.namespace, assignment.model)
        deletion = Delete(Key(CONFIG_MAP.kind, seen.namespace, name), seen.written.uid)
        update = waiting(seen, reasons.WITHDRAWING, "the devices are being told to stop serving the model")
        return report_rollout(seen, update, now, deletion, wake_at=now + LOOK_AGAIN)
    was_assigned = seen.status.stable is not None or seen.status.candidate is not None
    awaited = seen.nodes.serving_this_rollout | set(seen.nodes.unreachable if was_assigned else ())
    if awaited and seen.elapsed[deletion_event(metadata.deleted)] < LONGEST_WAIT.total_seconds():
        message = f"waiting for {names(awaited)} to stop serving the model, for ten minutes after the deletion at most"
        return report_rollout(seen, waiting(seen, reasons.WITHDRAWING, message), now, wake_at=now + LOOK_AGAIN)
    return Plan((*forget_evidence(seen), remove_finalizer(metadata)))


def forget_evidence(seen: Observed) -> tuple[Item, ...]:
    """The ledger goes last: until then, nothing else names the Rollout that it belongs to."""
    stored = seen.stored_ledger
    return (Delete(Key(CONFIG_MAP.kind, seen.namespace, ledger_name(seen.metadata.uid)), stored.uid),) if stored is not None else ()
