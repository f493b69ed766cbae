"""From what a policy states to a plan: conditions merged, the phase derived, events for what turned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bramble.kinds.conditions import Condition, merge, transitions
from bramble.kinds.objects import Invalid, KindStatus, Object, dump
from bramble.kinds.plan import Emit, Item, Plan

READY = "Ready"


@dataclass(frozen=True, slots=True)
class Stated:
    """What a policy says of the object: its conditions, and the one word that sums them up.

    Attributes:
        failures: reasons that are told as a Warning.
    """

    phase: str
    conditions: tuple[Condition, ...]
    failures: frozenset[str] = frozenset()


def ready(reason: str, message: str) -> Condition:
    """All is as the spec wants it."""
    return Condition(READY, "True", reason, message)


def not_ready(reason: str, message: str) -> Condition:
    """Not yet, or no more; the message says why and what to do."""
    return Condition(READY, "False", reason, message)


def report(
    seen: Object[Any, Any] | Invalid[Any],
    stated: Stated,
    now: datetime,
    *,
    items: Iterable[Item] = (),
    fields: Mapping[str, Any] | None = None,
    wake_at: datetime | None = None,
) -> Plan:
    """A pass that acts, or only tells: `fields` are fields of the status that are not memory, by their Python names."""
    status, events = _next(seen, stated, now, fields or {})
    return Plan(items=tuple(items), status=dump(status), events=events, wake_at=wake_at)


def remember(seen: Object[Any, Any] | Invalid[Any], stated: Stated, now: datetime, *, events: tuple[Emit, ...] = (), **memory: Any) -> Plan:
    """A pass that changes memory and therefore does nothing else; the pass that sees it acts on it."""
    status, turned = _next(seen, stated, now, memory)
    return Plan(status=dump(status), events=(*turned, *events), remember=True)


def _next(
    seen: Object[Any, Any] | Invalid[Any], stated: Stated, now: datetime, fields: Mapping[str, Any]
) -> tuple[KindStatus, tuple[Emit, ...]]:
    status: KindStatus = seen.status
    changes = {
        **fields,
        "observed_generation": seen.metadata.generation,
        "phase": stated.phase,
        "conditions": tuple(merge(status.conditions, stated.conditions, seen.metadata.generation, now)),
    }
    return status.model_copy(update=changes), transitions(status.conditions, stated.conditions, stated.failures)
