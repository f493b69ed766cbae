"""Tell the devices what memory asks for: one write, for a step as for an undo."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.contracts.assignment import Assignment
from bramble.kinds.plan import Apply, Item, PatchFields, Plan
from bramble.kinds.rollout.assignment import desired, render, same_orders
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.stating import act, keep, progressing, undone, waiting
from bramble.kinds.status_update import StatusUpdate
from bramble.kube.resources import key_of

LOOK_AGAIN = timedelta(seconds=5)


def assign(seen: Observed, now: datetime) -> Plan | None:
    """Write the assignment where it differs from what memory asks for, under a seq above all that any device has seen.

    The seq is memory and comes first; the pass that sees it writes, conditional on the assignment that was seen. The orders
    are given again, unchanged, where a device has seen a higher seq than they have, as after the cluster was restored.
    """
    wanted = desired(seen)
    if wanted is None:
        return None
    present = seen.ours
    if present is None and seen.fleet.hold is not None:
        return None  # which nodes there are is not known now
    if present is not None and same_orders(present, wanted) and present.seq >= seen.highest_elsewhere():
        return None
    if seen.status.seq <= seen.highest_elsewhere():
        return keep(seen, telling(seen), now, seq=1 + seen.highest_elsewhere())
    return act(seen, telling(seen), now, write(seen, wanted), wake_at=now + LOOK_AGAIN)


def write(seen: Observed, wanted: Assignment) -> Item:
    """The write. One that another Rollout left is taken over as it stands: of two, `superseded` has said who has the model."""
    manifest, written = render(seen, wanted), seen.written
    if written is None or seen.ours is not None:
        return Apply(manifest)
    patch = {"metadata": {"labels": manifest["metadata"]["labels"]}, "data": manifest["data"]}
    return PatchFields(key_of(manifest), written.uid, written.resource_version, patch)


def telling(seen: Observed) -> StatusUpdate:
    """How things stand while devices are being told."""
    status = seen.status
    if status.undone is not None:
        return undone(seen, status.undone.message)
    if status.candidate is not None:
        return progressing(seen, "Assigning", f"telling the devices of step {seen.index + 1} with {status.candidate.ref}")
    return waiting(seen, "Assigning", "telling the devices what to serve")
