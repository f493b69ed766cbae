"""Tell the devices what memory asks for: one write, for a step as for an undo."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.kinds.plan import Apply, FileResult, Plan
from bramble.kinds.rollout.assignment import desired, render, same_orders
from bramble.kinds.rollout.decision import Decision, decision_key, encode
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.stating import act, keep, progressing, undone, waiting
from bramble.kinds.writing import Stated

LOOK_AGAIN = timedelta(seconds=5)


def assign(seen: Observed, now: datetime) -> Plan | None:
    """Write the assignment where it differs from what memory asks for, under a seq above all that any device has seen.

    The seq is memory and comes first; the pass that sees it writes. An assignment of another Rollout is its own affair
    (`superseded` has looked at that), and the write is conditional on the one seen.
    """
    wanted = desired(seen)
    if wanted is None:
        return None
    present = seen.ours
    if present is not None and same_orders(present, wanted):
        return file_decision(seen, now)
    if seen.status.seq <= highest_elsewhere(seen):
        return keep(seen, telling(seen), now, seq=1 + seen.highest_seq())
    return act(seen, telling(seen), now, Apply(render(seen, wanted)), wake_at=now + LOOK_AGAIN)


def highest_elsewhere(seen: Observed) -> int:
    """The highest seq of the assignment or of any device, memory left out."""
    written = seen.written.assignment.seq if seen.written is not None else 0
    reported = [running.seq for running in seen.running.values()]
    return max([written, *reported])


def telling(seen: Observed) -> Stated:
    """How things stand while devices are being told."""
    status = seen.status
    if status.undone is not None:
        return undone(seen, status.undone.message)
    if status.candidate is not None:
        return progressing(seen, "Assigning", f"telling the devices of step {seen.index + 1} with {status.candidate.ref}")
    return waiting(seen, "Assigning", "telling the devices what to serve")


def file_decision(seen: Observed, now: datetime) -> Plan | None:
    """A copy of the last decision into the store, after the devices were told: no undo waits for the store."""
    status, metadata = seen.status, seen.metadata
    if status.decision is None or status.decision_filed:
        return None
    decision = Decision.model_validate(status.decision)
    key = decision_key(metadata.namespace, metadata.name, metadata.uid, decision)
    return act(seen, telling(seen), now, FileResult(metadata.namespace, key, encode(status.decision)), decision_filed=True, wake_at=now)
