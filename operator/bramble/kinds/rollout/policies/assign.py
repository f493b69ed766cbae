"""Writes the assignment where it differs from what memory asks for: one write, for a step as for an undo."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.api.conditions import rfc3339
from bramble.api.objects import moment
from bramble.contracts.assignment import Assignment
from bramble.kinds.plan import Apply, Item, PatchFields, Plan
from bramble.kinds.rollout.assignment import desired, render, same_orders
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import assigning, remember_rollout, report_rollout
from bramble.kube.resources import key_of

LOOK_AGAIN = timedelta(seconds=5)

RAISE_AGAIN = timedelta(minutes=10)
"""A device that reports a higher seq each time would otherwise have the same orders written again and again, and stored by every device.
Other orders are never held back, and their seq is above every seq that is believed."""


def assign(seen: Observed, now: datetime) -> Plan | None:
    """Write the assignment under a seq above every seq that a device has seen, since devices never go back to a lower one.

    The seq is memory, so it is remembered first; the pass that sees it writes. The same orders are written again under a higher seq where
    a device has seen one above that of the assignment, as after the cluster was restored; not again for `RAISE_AGAIN`. While the Fleet
    cannot be used and nothing was assigned yet, nothing is written, since the nodes are not known.
    """
    wanted = desired(seen)
    if wanted is None:
        return None
    present = seen.assignment
    if present is None and seen.fleet.blocker is not None:
        return None
    same = present is not None and same_orders(present, wanted)
    if present is not None and same and (present.seq >= seen.highest_seq or (present.seq >= seen.status.seq and raised_lately(seen, now))):
        return None
    if seen.status.seq <= seen.highest_seq:
        raised_at = rfc3339(now) if same else seen.status.seq_raised_at
        return remember_rollout(seen, assigning(seen), now, seq=1 + seen.highest_seq, seq_raised_at=raised_at)
    return report_rollout(seen, assigning(seen), now, write(seen, wanted), wake_at=now + LOOK_AGAIN)


def raised_lately(seen: Observed, now: datetime) -> bool:
    """Whether the same orders were written again not long ago, because of what a device reported."""
    raised_at = seen.status.seq_raised_at  # it may be in the future: another leader's clock said so, and it is not known for how long
    return bool(raised_at) and timedelta() <= now - moment(raised_at) < RAISE_AGAIN


def write(seen: Observed, wanted: Assignment) -> Item:
    """The write. An assignment that another Rollout left is taken over, conditional on what was seen: `yield_to_rival` has decided before
    that this Rollout has precedence.
    """
    manifest, written = render(seen, wanted), seen.written
    if written is None or seen.assignment is not None:
        return Apply(manifest)
    patch = {"metadata": {"labels": manifest["metadata"]["labels"]}, "data": manifest["data"]}
    return PatchFields(key_of(manifest), written.uid, written.resource_version, patch)
