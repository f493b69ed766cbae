"""From what a policy states to a plan: conditions merged, the phase derived, events for what turned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic.alias_generators import to_camel

from bramble.api.conditions import Condition, merge
from bramble.api.objects import Invalid, KindStatus, Object, dump
from bramble.kinds.plan import Emit, Item, Plan

READY = "Ready"


@dataclass(frozen=True, slots=True)
class StatusUpdate:
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
    stated: StatusUpdate,
    now: datetime,
    *,
    items: Iterable[Item] = (),
    fields: Mapping[str, Any] | None = None,
    wake_at: datetime | None = None,
) -> Plan:
    """A pass that acts, or only tells: `fields` are fields of the status that are not memory, by their Python names."""
    document, events = _next(seen, stated, now, fields or {})
    return Plan(items=tuple(items), status=document, events=events, wake_at=wake_at)


def remember(
    seen: Object[Any, Any] | Invalid[Any], stated: StatusUpdate, now: datetime, *, events: tuple[Emit, ...] = (), **memory: Any
) -> Plan:
    """A pass that changes memory and therefore does nothing else; the pass that sees it acts on it."""
    document, turned = _next(seen, stated, now, memory)
    return Plan(status=document, events=(*turned, *events), remember=True)


def _next(
    seen: Object[Any, Any] | Invalid[Any], stated: StatusUpdate, now: datetime, fields: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Emit, ...]]:
    status: KindStatus = seen.status
    changes = {
        **fields,
        "observed_generation": seen.metadata.generation,
        "phase": stated.phase,
        "conditions": tuple(merge(status.conditions, stated.conditions, seen.metadata.generation, now)),
    }
    document = dump(status.model_copy(update=changes))
    if seen.stored is not None:
        document = _kept(document, seen.stored, type(status), {to_camel(name) for name in changes})
    return document, transitions(status.conditions, stated.conditions, stated.failures)


def _kept(document: dict[str, Any], stored: Mapping[str, Any], kind: type[KindStatus], changed: set[str]) -> dict[str, Any]:
    """The next status with unchanged memory, and fields of another version of the operator, as they are stored."""
    known = {field.alias or name for name, field in kind.model_fields.items()}
    verbatim = (kind.MEMORY | (stored.keys() - known)) - changed
    told = {name: value for name, value in document.items() if name not in verbatim}
    return told | {name: stored[name] for name in sorted(verbatim) if name in stored}


def transitions(previous: Iterable[dict[str, Any]], stated: Iterable[Condition], failures: frozenset[str]) -> tuple[Emit, ...]:
    """An event for each reason that a condition newly has; a Warning where the reason is one of `failures`.

    Conditions that turn together for one reason are told once, by the message of the first of them.
    """
    by_type = {condition["type"]: condition for condition in previous}
    told: dict[str, Emit] = {}
    for condition in stated:
        before = by_type.get(condition.type)
        if before is not None and (before["status"], before["reason"]) == (condition.status, condition.reason):
            continue
        kind: Literal["Normal", "Warning"] = "Warning" if condition.reason in failures else "Normal"
        told.setdefault(condition.reason, Emit(kind, condition.reason, condition.message or condition.type))
    return tuple(told.values())
