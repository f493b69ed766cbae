"""The buttons: one annotation, looked at once (design, §2).

    kubectl annotate trainingrun digits bramble.dev/request='{"id": "1", "action": "retry", "attempt": 3}' --overwrite

A request is acknowledged in `status.lastRequest` by its id. One that is nonsense, or speaks of an attempt or step that has passed,
is refused there, so that a stale button pressed by a script changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bramble.api.conditions import rfc3339
from bramble.api.labels import REQUEST
from bramble.api.objects import KindStatus, LastRequest, Metadata

EXAMPLE = '{"id": "1", "action": "retry"}'


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for; attempt and step are what they believe to be the present ones."""

    id: str
    action: str
    attempt: int | None = None
    step: int | None = None

    def stale(self, attempt: int, step: int | None = None) -> str:
        """Why it comes too late, or nothing."""
        if self.attempt is not None and self.attempt != attempt:
            return f"it speaks of attempt {self.attempt}, and attempt {attempt} is the last: ask again with that number, or without"
        if self.step is not None and step is not None and self.step != step:
            return f"it speaks of step {self.step}, and step {step} is the present one: ask again with that number, or without"
        return ""


@dataclass(frozen=True, slots=True)
class Nonsense:
    """An annotation that is no request; its id is a digest of the text, so that it is refused once."""

    id: str
    problem: str


def pending(metadata: Metadata, status: KindStatus) -> Request | Nonsense | None:
    """The annotation, unless there is none or it has been answered."""
    text = metadata.annotations.get(REQUEST)
    if text is None:
        return None
    asked = read(text)
    answered = status.last_request.id if status.last_request is not None else None
    return None if asked.id == answered else asked


def read(text: str) -> Request | Nonsense:
    """The annotation's text as a request."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    try:
        document = json.loads(text)
    except ValueError as error:
        return Nonsense(digest, f"{REQUEST} is not JSON ({error}); write for example {EXAMPLE}")
    if not isinstance(document, dict):
        return Nonsense(digest, f"{REQUEST} is not a JSON object; write for example {EXAMPLE}")
    given, action = document.get("id"), document.get("action")
    if not isinstance(given, str) or not 0 < len(given) <= 64:  # noqa: PLR2004
        return Nonsense(digest, f"{REQUEST}: id is {given!r}, and must be a text of 1 to 64 characters that is new for each request")
    numbers = {name: document[name] for name in ("attempt", "step") if document.get(name) is not None}
    for name, value in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool):
            return Nonsense(given, f"{REQUEST}: {name} is {value!r}, and must be a whole number")
    if unknown := sorted(set(document) - {"id", "action", "attempt", "step"}):
        return Nonsense(given, f"{REQUEST}: {', '.join(unknown)} is unknown; id, action, attempt and step are not")
    if not isinstance(action, str):
        return Nonsense(given, f"{REQUEST}: action is {action!r}; write for example {EXAMPLE}")
    return Request(given, action, **numbers)


def answer(asked: Request | Nonsense, result: Literal["Accepted", "Refused"], message: str, now: datetime) -> LastRequest:
    """What `status.lastRequest` says of it."""
    action = asked.action if isinstance(asked, Request) else ""
    return LastRequest(id=asked.id, action=action, result=result, message=message, at=rfc3339(now))
