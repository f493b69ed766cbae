"""Turns what a policy says of an object into a plan: merged conditions, the phase, and events for what happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic.alias_generators import to_camel

from bramble.api.conditions import Condition, merge
from bramble.api.objects import Invalid, KindStatus, Object, dump
from bramble.kinds.plan import Emit, EventType, Item, Plan

READY = "Ready"
INVALID_SPEC = "InvalidSpec"
"""Reason of a spec that passed admission and still cannot be used."""


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """What a policy says of an object.

    Attributes:
        phase: one word that sums up the conditions, for people.
        conditions: the conditions that the policy knows; other conditions of the object stay as they are.
        events: the condition reasons that are worth an event, with the event's type. A reason that is not listed gives no event.
            `Warning` is for what needs a person, `Normal` for everything else that happened.
    """

    phase: str
    conditions: tuple[Condition, ...]
    events: Mapping[str, EventType] = field(default_factory=dict)


def ready(reason: str, message: str) -> Condition:
    """The condition `Ready=True`: the object is as its spec asks."""
    return Condition(READY, "True", reason, message)


def not_ready(reason: str, message: str) -> Condition:
    """The condition `Ready=False`; the message says why and what to do."""
    return Condition(READY, "False", reason, message)


def report(
    seen: Object[Any, Any] | Invalid[Any],
    update: StatusUpdate,
    now: datetime,
    *,
    items: Iterable[Item] = (),
    fields: Mapping[str, Any] | None = None,
    wake_at: datetime | None = None,
) -> Plan:
    """Plan a pass that carries out `items` and writes the status, and changes no memory.

    Args:
        fields: further status fields that are not memory, by their Python names.
        wake_at: when to look again if nothing changes before.
    """
    status, events = _next_status(seen, update, now, fields or {})
    return Plan(items=tuple(items), status=status, events=events, wake_at=wake_at)


def remember(
    seen: Object[Any, Any] | Invalid[Any], update: StatusUpdate, now: datetime, *, events: tuple[Emit, ...] = (), **memory: Any
) -> Plan:
    """Plan a pass that changes memory and does nothing else; the next pass reads the memory and acts on it.

    Args:
        events: events beside those of the conditions.
        memory: the changed status fields, by their Python names.
    """
    status, of_conditions = _next_status(seen, update, now, memory)
    return Plan(status=status, events=(*of_conditions, *events), remember=True)


def _next_status(
    seen: Object[Any, Any] | Invalid[Any], update: StatusUpdate, now: datetime, fields: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Emit, ...]]:
    status: KindStatus = seen.status
    changes = {
        **fields,
        "observed_generation": seen.metadata.generation,
        "phase": update.phase,
        "conditions": tuple(merge(status.conditions, update.conditions, seen.metadata.generation, now)),
    }
    document = dump(status.model_copy(update=changes))
    if seen.stored is not None:
        document = _with_stored_fields(document, seen.stored, type(status), {to_camel(name) for name in changes})
    return document, events_of(status.conditions, update.conditions, update.events)


def _with_stored_fields(document: dict[str, Any], stored: Mapping[str, Any], kind: type[KindStatus], changed: set[str]) -> dict[str, Any]:
    """The document with two sorts of fields copied from the stored status as they are: unchanged memory, and fields that this
    version of the operator does not know.

    Parsing and dumping memory would add fields that another version of the operator did not write, and the engine would take that for a
    change.
    """
    known = {to_camel(name) for name in kind.model_fields}
    copied = (kind.MEMORY | (stored.keys() - known)) - changed
    return {name: value for name, value in document.items() if name not in copied} | {
        name: stored[name] for name in sorted(copied) if name in stored
    }


def events_of(previous: Iterable[Mapping[str, Any]], conditions: Iterable[Condition], events: Mapping[str, EventType]) -> tuple[Emit, ...]:
    """One event for each reason in `events` that no condition had before with the same status.

    Several conditions that get one reason at the same time give one event, with the message of the first of them.

    Args:
        previous: the object's conditions before, as stored.
        conditions: the conditions of the update.
        events: reasons that are worth an event, with its type.
    """
    before = {(condition["status"], condition["reason"]) for condition in previous}
    found: dict[str, Emit] = {}
    for condition in conditions:
        if condition.reason in events and (condition.status, condition.reason) not in before:
            found.setdefault(condition.reason, Emit(events[condition.reason], condition.reason, condition.message or condition.type))
    return tuple(found.values())
