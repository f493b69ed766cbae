"""Answers a person's request (the annotation `bramble.dev/request`, see `api/request.py`), the same way for every kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bramble.api.objects import Object
from bramble.api.request import MalformedRequest, Request, answer, unanswered
from bramble.kinds.plan import Emit, Plan
from bramble.kinds.status_update import StatusUpdate, remember

REQUEST_ACCEPTED = "RequestAccepted"
REQUEST_REFUSED = "RequestRefused"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an accepted request changes.

    Attributes:
        message: what happens now, for `status.lastRequest` and the event.
        update: the conditions and the phase after it.
        memory: the memory that changes, by the fields' Python names.
    """

    message: str
    update: StatusUpdate
    memory: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request cannot be carried out now, and what to do instead."""

    message: str


def answer_request(
    seen: Object[Any, Any],
    now: datetime,
    decide: Callable[[Request], Accepted | Refused],
    *,
    actions: tuple[str, ...],
    attempt: int | None = None,
    step: int | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Plan | None:
    """Answer the object's request once, in `status.lastRequest` and by an event. None when there is no unanswered request.

    A request that cannot be read, names an action that the kind does not have, or names an attempt or step that is not the present one,
    is refused without asking `decide`.

    Args:
        decide: carries out a request, or refuses it. The request's action is one of `actions`.
        actions: the actions of the kind.
        attempt, step: the present ones; None where the kind has no single attempt or no steps.
        fields: further status fields to write, which are not memory.
    """
    request = unanswered(seen.metadata, seen.status)
    if request is None:
        return None
    decision = _decide(seen, request, decide, actions, attempt, step)
    written = dict(fields or {})
    if isinstance(decision, Refused):
        unchanged = StatusUpdate(seen.status.phase, ())
        event = Emit("Warning", REQUEST_REFUSED, decision.message)
        written["last_request"] = answer(request, "Refused", decision.message, now)
        return remember(seen, unchanged, now, events=(event,), **written)
    action = request.action if isinstance(request, Request) else ""
    event = Emit("Normal", REQUEST_ACCEPTED, f"{action}: {decision.message}")
    written |= {**decision.memory, "last_request": answer(request, "Accepted", decision.message, now)}
    return remember(seen, decision.update, now, events=(event,), **written)


def _decide(
    seen: Object[Any, Any],
    request: Request | MalformedRequest,
    decide: Callable[[Request], Accepted | Refused],
    actions: tuple[str, ...],
    attempt: int | None,
    step: int | None,
) -> Accepted | Refused:
    if isinstance(request, MalformedRequest):
        return Refused(request.problem)
    if request.action not in actions:
        kind = seen.metadata.key.kind
        return Refused(f"action {request.action!r} is unknown to a {kind}; use {' or '.join(actions)}")
    if outdated := request.outdated(attempt, step):
        return Refused(outdated)
    return decide(request)
