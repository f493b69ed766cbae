"""Which attempt comes after a failed one, and what is left of those before it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bramble.api.labels import ATTEMPT
from bramble.kinds.jobs.state import Failed
from bramble.kinds.plan import Delete
from bramble.kube.resources import Manifest, key_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """How many failures and how many disruptions a step survives. The defaults are those of plain steps."""

    failures: int = 2
    disruptions: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the attempts so far have taken from the budgets. Memory: it cannot be derived again."""

    failures: int = 0
    disruptions: int = 0


PLAIN = Budgets()


def after(failed: Failed, spent: Spent, budgets: Budgets = PLAIN) -> Spent | None:
    """The budgets spent when the next attempt begins, or None when there is none: final, or nothing left."""
    if failed.counts_as == "final":
        return None
    if failed.counts_as == "failure":
        return replace(spent, failures=spent.failures + 1) if spent.failures < budgets.failures else None
    return replace(spent, disruptions=spent.disruptions + 1) if spent.disruptions < budgets.disruptions else None


def overdrawn(failed: Failed, spent: Spent) -> Spent:
    """What memory says when `after` gave None: one more than the budget held, or, for a final cause, what it said before."""
    if failed.counts_as == "final":
        return spent
    if failed.counts_as == "failure":
        return replace(spent, failures=spent.failures + 1)
    return replace(spent, disruptions=spent.disruptions + 1)


def stale(children: Iterable[Manifest], attempt: int) -> tuple[Delete, ...]:
    """Deletes of the Jobs (and their ConfigMaps) of attempts below `attempt`, on sight: a stalled leader may have made one."""
    return tuple(
        Delete(key_of(child), child["metadata"]["uid"])
        for child in children
        if int(child["metadata"]["labels"].get(ATTEMPT, attempt)) < attempt and "deletionTimestamp" not in child["metadata"]
    )
