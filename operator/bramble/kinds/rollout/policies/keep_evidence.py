"""Writes the ledger of evidence into its ConfigMap, beside whatever else the pass does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bramble.kinds.plan import Apply, FileResult, Plan
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.ledger import Ledger
from bramble.kinds.rollout.ledger_store import render
from bramble.kinds.rollout.observed import Observed

TRYING = timedelta(seconds=30)
"""How long evidence about a candidate may wait to be written. Until then each pass computes it again from what the devices say."""

BY_EVIDENCE = frozenset({reasons.GUARDRAIL_FAILED, reasons.STEP_DONE, reasons.PROMOTED})
"""Reasons of decisions that a look at memory may have brought about. No other decision waits until a look is stored."""

SERVING = timedelta(minutes=10)
"""The same while no version is tried. A watch may last for ever, and what it reads needs no sooner write: each pass judges all that was
counted since the last one. A crash costs that of agents that start again before the next leader reads them, as while a version is tried."""

LATELY = timedelta(seconds=30)
"""An attempt begins so long after the evidence was written at most. What nodes counted in between is missing in their history."""

PARTS = 6
"""After an agent has started again, only this part of the time may pass: the last report of one ended process is kept for each node. So
agents that start again with every report cause a write every 5 seconds at most."""


def keep_evidence(seen: Observed, planned: Plan, now: datetime) -> Plan:
    """What a policy planned, with the write of the ledger where that is due.

    It is due when an attempt or a step begins or ends, when a version is promoted, when a look at the memory of nodes was taken, and after
    a while, which is shorter after an agent has started again. A plan that changes memory writes the status alone; the pass after it
    writes the ledger. The other way round where a look was just taken and evidence decides: this pass writes the ledger alone, and the
    pass after it decides by the look that is stored. Otherwise the look could be taken again, with other samples, and be acted on again.
    So it is before an attempt begins, whose history is that of the stored ledger: counters of an attempt begin at zero.
    The write comes before what is filed in the store: a pass ends at the first item that fails, and evidence must be kept while the store
    does not answer. A Rollout that serves nothing, yields to a rival or is deleted has none.
    """
    status = seen.status
    if (status.stable is None and status.candidate is None) or seen.rival is not None or seen.metadata.deleted is not None:
        return planned
    due = written_until(seen)
    if (_looked(seen) and _decided_by_evidence(seen, planned)) or _begins_too_soon(seen, planned):
        planned = Plan(wake_at=now + TRYING)
    elif planned.remember or now < due:
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
    at, wait = datetime.fromtimestamp(ledger.at, seen.now.tzinfo), longest_wait(seen)
    if another_process(ledger, present):
        wait /= PARTS
    return at + wait if at <= seen.now else seen.now  # another leader's clock may have been ahead


def another_process(ledger: Ledger, present: Ledger) -> bool:
    """Whether an agent has started again since the ledger was written."""
    nodes = ledger.nodes
    return any(name in nodes and nodes[name].instance not in ("", node.instance) for name, node in present.nodes.items())


def turns(ledger: Ledger) -> tuple[object, ...]:
    """What a ledger is written for at once when it has changed."""
    of_attempt = (ledger.rollout_uid, ledger.attempt, ledger.step, ledger.stable, ledger.candidate)
    return (
        *of_attempt,
        *(guard.identity for guard in ledger.guards),
        _looks(ledger),
        ledger.promoted,
        *((*watch.identity, watch.margin) for watch in ledger.watches),
    )


def _looks(ledger: Ledger) -> frozenset[tuple[object, ...]]:
    """How many looks each guardrail has taken in an attempt."""
    return frozenset((ledger.attempt, *guard.identity, len(guard.looks)) for guard in ledger.growth if guard.looks)


def _looked(seen: Observed) -> bool:
    """Whether this pass took a look that is not stored yet."""
    stored = seen.stored_ledger.ledger if seen.stored_ledger is not None else None
    return bool(_looks(seen.ledger) - (_looks(stored) if stored is not None else frozenset()))


def _decided_by_evidence(seen: Observed, planned: Plan) -> bool:
    """Whether the plan keeps a new decision that a look may have brought about."""
    made = (planned.status or {}).get("decision") if planned.remember else None
    return made is not None and made != seen.status.decision and made["reason"] in BY_EVIDENCE


def _begins_too_soon(seen: Observed, planned: Plan) -> bool:
    """Whether the plan begins an attempt though what the nodes counted lately is not stored."""
    begins = planned.remember and seen.status.candidate is None and bool((planned.status or {}).get("candidate"))
    stored = seen.stored_ledger.ledger if seen.stored_ledger is not None else None
    return begins and stored is not None and seen.now - datetime.fromtimestamp(stored.at, seen.now.tzinfo) > LATELY


def longest_wait(seen: Observed) -> timedelta:
    """How long evidence may wait to be written."""
    return TRYING if seen.status.candidate is not None else SERVING
