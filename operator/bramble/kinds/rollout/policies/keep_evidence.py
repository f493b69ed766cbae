"""Writes the ledger of evidence into its ConfigMap, beside whatever else the pass does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bramble.kinds.plan import Apply, FileResult, Plan
from bramble.kinds.rollout.ledger import Ledger, render
from bramble.kinds.rollout.observed import Observed

TRYING = timedelta(seconds=30)
"""How long evidence about a candidate may wait to be written. Until then each pass computes it again from what the devices say."""

SERVING = timedelta(minutes=10)
"""The same while no version is tried or watched: only the history of the nodes grows."""


def keep_evidence(seen: Observed, planned: Plan, now: datetime) -> Plan:
    """What a policy planned, with the write of the ledger where that is due.

    It is due when an attempt or a step begins or ends, when a version is promoted, when a look at the memory of nodes was taken, and after
    a while. A plan that changes memory writes the status alone; the pass after it writes the ledger. It comes before what is filed in the
    store: a pass ends at the first item that fails, and evidence must be kept while the store does not answer. A Rollout that serves
    nothing, yields to a rival or is deleted has none.
    """
    status = seen.status
    if (status.stable is None and status.candidate is None) or seen.rival is not None or seen.metadata.deleted is not None:
        return planned
    due = written_until(seen)
    if planned.remember or now < due:
        return planned.no_later_than(max(due, now))
    items = planned.items
    place = next((place for place, item in enumerate(items) if isinstance(item, FileResult)), len(items))
    write = Apply(render(seen.ledger, seen.metadata, seen.namespace))
    return replace(planned, items=(*items[:place], write, *items[place:])).no_later_than(now + longest_wait(seen))


def written_until(seen: Observed) -> datetime:
    """When the ledger has to be written again: at once where there is none, or the stored one is of another attempt, step version, or look.

    One that cannot be read, because somebody edited it, is treated as missing.
    """
    stored = seen.stored_ledger
    if stored is None or stored.ledger is None:
        return seen.now
    ledger, present = stored.ledger, seen.ledger
    if turns(ledger) != turns(present):
        return seen.now
    at = datetime.fromtimestamp(ledger.at, seen.now.tzinfo)
    return at + longest_wait(seen) if at <= seen.now else seen.now  # another leader's clock may have been ahead


def turns(ledger: Ledger) -> tuple[object, ...]:
    """What a ledger is written for at once when it has changed."""
    looks = tuple((guard.identity, len(guard.looks)) for guard in ledger.growth)
    of_attempt = (ledger.rollout_uid, ledger.attempt, ledger.step, ledger.stable, ledger.candidate, len(ledger.guards))
    return (*of_attempt, looks, ledger.promoted, *((*watch.identity, watch.margin) for watch in ledger.watches))


def longest_wait(seen: Observed) -> timedelta:
    """How long evidence may wait to be written."""
    return TRYING if seen.status.candidate is not None or seen.watch_asked is not None else SERVING
