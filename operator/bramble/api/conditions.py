"""Conditions as Kubernetes means them (KEP-1623): a type, a status, since when, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Truth = Literal["True", "False", "Unknown"]
MESSAGE_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as a plan states it; `message` says what, why and what to do."""

    type: str
    status: Truth
    reason: str
    message: str = ""


def rfc3339(moment: datetime) -> str:
    """As Kubernetes writes times, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def merge(previous: Iterable[dict[str, Any]], stated: Iterable[Condition], generation: int, now: datetime) -> list[dict[str, Any]]:
    """The conditions of the next status: those stated replace those of the same type, the others stay.

    `lastTransitionTime` moves only when the status of a condition does.
    """
    by_type = {condition["type"]: condition for condition in previous}
    for condition in stated:
        before = by_type.get(condition.type)
        since = before["lastTransitionTime"] if before and before["status"] == condition.status else rfc3339(now)
        by_type[condition.type] = {
            "type": condition.type,
            "status": condition.status,
            "observedGeneration": generation,
            "lastTransitionTime": since,
            "reason": condition.reason,
            "message": condition.message[:MESSAGE_CHARACTERS],
        }
    return list(by_type.values())


def find(conditions: Iterable[dict[str, Any]], type_: str) -> dict[str, Any] | None:
    """The condition of this type, or None."""
    return next((condition for condition in conditions if condition["type"] == type_), None)


def is_true(conditions: Iterable[dict[str, Any]], type_: str) -> bool:
    """Whether the condition of this type is there and True."""
    found = find(conditions, type_)
    return found is not None and found["status"] == "True"
