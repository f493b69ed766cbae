"""Requests: an annotation by which a person asks the operator for something, such as a retry. Each request is answered once.

    kubectl annotate trainingrun digits bramble.dev/request='{"id": "1", "action": "retry", "attempt": 3}' --overwrite

The answer is in `status.lastRequest`, under the request's id. `attempt` and `step` are optional; a request that names another attempt or
step than the present one is refused, so that a script that acts on an old status changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic_core import from_json

from bramble.api.conditions import MESSAGE_CHARACTERS, rfc3339
from bramble.api.labels import REQUEST
from bramble.api.objects import KindStatus, LastRequest, Metadata
from bramble.api.schema import DNS_LABEL, NAME_LIMIT

UNDO = "undo"
EXAMPLE = '{"id": "1", "action": "retry"}'
FIELDS = ("id", "action", "attempt", "step", "to")
LONGEST_TEXT = 1024
"""Characters of the annotation. A request has fewer than 300, and the API server takes 256 KiB of annotations."""

LONGEST_ID = 64
LONGEST_ACTION = 64
"""An answer repeats the id and the action, and the status has no room for long ones."""

SHOWN = 40
"""Characters of a wrong value that an answer repeats."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was written.

    Attributes:
        id: chosen by whoever asks; a new one for each request.
        action: what is asked for, such as `retry`.
        attempt, step: what the writer believes to be the present attempt and step; None where the request does not say.
        to: the object that an `undo` goes back to; None for every other action.
    """

    id: str
    action: str
    attempt: int | None = None
    step: int | None = None
    to: str | None = None

    def outdated(self, attempt: int | None, step: int | None = None) -> str:
        """Why the request comes too late, or an empty text. None stands for an object without attempts or steps."""
        if self.attempt is not None and attempt is not None and self.attempt != attempt:
            return f"the request is for attempt {self.attempt}, but the last attempt is {attempt}: ask again for that one, or leave it out"
        if self.step is not None and step is not None and self.step != step:
            return f"the request is for step {self.step}, but the present step is {step}: ask again for that one, or leave it out"
        return ""


@dataclass(frozen=True, slots=True)
class MalformedRequest:
    """An annotation that is not a request.

    Attributes:
        id: the request's own id, or else a digest of the text, so that the same text is refused only once.
        problem: what is wrong with it.
    """

    id: str
    problem: str


def unanswered(metadata: Metadata, status: KindStatus) -> Request | MalformedRequest | None:
    """The request in the object's annotations, unless there is none or `status.lastRequest` answers it already."""
    text = metadata.annotations.get(REQUEST)
    if text is None:
        return None
    request = parse_request(text)
    answered = status.last_request.id if status.last_request is not None else None
    return None if request.id == answered else request


def parse_request(text: str) -> Request | MalformedRequest:
    """Read the annotation's text, which a tenant writes.

    The parser refuses what would not come back from the API server as it was (half a surrogate pair, which is stored as U+FFFD), and
    JSON that is nested too deeply, with a ValueError.
    """
    content = text.encode(errors="surrogatepass")
    digest = hashlib.sha256(content).hexdigest()[:16]
    if len(text) > LONGEST_TEXT:
        return MalformedRequest(digest, f"{REQUEST} has {len(text)} characters; write at most {LONGEST_TEXT}, for example {EXAMPLE}")
    try:
        document = from_json(content)
    except ValueError as error:
        return MalformedRequest(digest, f"{REQUEST} is not JSON ({error}); write for example {EXAMPLE}")
    if not isinstance(document, dict):
        return MalformedRequest(digest, f"{REQUEST} is not a JSON object; write for example {EXAMPLE}")
    given, action = document.get("id"), document.get("action")
    if not isinstance(given, str) or not 0 < len(given) <= LONGEST_ID:
        problem = f"{REQUEST}: id is {_shown(given)}; write a text of 1 to {LONGEST_ID} characters, a new one for each request"
        return MalformedRequest(digest, problem)
    numbers = {name: document[name] for name in ("attempt", "step") if document.get(name) is not None}
    for name, value in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool):
            return MalformedRequest(given, f"{REQUEST}: {name} is {_shown(value)}; write a whole number, or leave it out")
    if unknown := sorted(set(document) - set(FIELDS)):
        return MalformedRequest(given, f"{REQUEST}: the fields are {', '.join(FIELDS)}; remove {', '.join(map(_shown, unknown))}")
    if not isinstance(action, str) or len(action) > LONGEST_ACTION:
        return MalformedRequest(given, f"{REQUEST}: action is {_shown(action)}; write for example {EXAMPLE}")
    to = document.get("to")
    if (to is not None) != (action == UNDO):
        return MalformedRequest(given, f"{REQUEST}: to is the version that {UNDO} goes back to; that action needs it, and no other has it")
    if to is not None and not (isinstance(to, str) and len(to) <= NAME_LIMIT and re.fullmatch(DNS_LABEL, to)):
        return MalformedRequest(given, f"{REQUEST}: to is {_shown(to)}; write the name of an object")
    return Request(given, action, **numbers, to=to)


def _shown(value: object) -> str:
    """The value as an answer repeats it."""
    shown = repr(value)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"


def answer(request: Request | MalformedRequest, result: Literal["Accepted", "Refused"], message: str, now: datetime) -> LastRequest:
    """The answer as `status.lastRequest` holds it, in memory, which is never shortened: its message is."""
    action = request.action if isinstance(request, Request) else ""
    return LastRequest(id=request.id, action=action, result=result, message=message[:MESSAGE_CHARACTERS], at=rfc3339(now))
