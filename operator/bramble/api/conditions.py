"""Status conditions (KEP-1623): each has a type, a status, the time of its last transition, a reason and a message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Truth = Literal["True", "False", "Unknown"]
MESSAGE_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a plan.

    Attributes:
        type: what the condition is about, such as `Ready`.
        status: whether it holds.
        reason: why, as one CamelCase word for programs.
        message: why, and what to do, for people.
    """

    type: str
    status: Truth
    reason: str
    message: str = ""


def rfc3339(moment: datetime) -> str:
    """The time as Kubernetes writes it: UTC, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def merge(previous: Iterable[dict[str, Any]], stated: Iterable[Condition], generation: int, now: datetime) -> list[dict[str, Any]]:
    """The conditions of the next status.

    A condition of `stated` replaces the previous one of the same type; other conditions stay as they are. `lastTransitionTime` changes only
    when the condition's status does.

    Args:
        previous: the conditions as stored.
        stated: the conditions of the plan.
        generation: of the spec that the plan was made for.
        now: the time of the transitions.
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
    """The condition of this type; None if there is none."""
    return next((condition for condition in conditions if condition["type"] == type_), None)


def is_true(conditions: Iterable[dict[str, Any]], type_: str) -> bool:
    """Whether the condition of this type exists and is True."""
    found = find(conditions, type_)
    return found is not None and found["status"] == "True"
