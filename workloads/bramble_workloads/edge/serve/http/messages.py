"""Requests, what is made of them, and responses."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, NamedTuple

JSON = "application/json"
TRY_AGAIN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Request(NamedTuple):
    """The head of a request.

    Attributes:
        method: the method, in capitals.
        target: the target as it was sent: a path, with percent signs and perhaps a query, or a whole URL.
        headers: the values of `head.KEPT_HEADERS`, by lower-case name.
        content_length: the announced length of the body; None for a chunked body.
        client: the address that the request comes from.
    """

    method: str
    target: str
    headers: dict[str, str]
    content_length: int | None
    client: str = ""

    @property
    def media_type(self) -> str:
        """The media type of the body, in lower case and without parameters; empty if none is stated."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def coding(self) -> str:
        """The content coding of the body, in lower case; empty if the body is sent as it is."""
        coding = self.headers.get("content-encoding", "").strip().lower()
        return "" if coding == "identity" else coding


class Response(NamedTuple):
    """An answer.

    Attributes:
        headers: further headers, as whole lines that end with CRLF. The server writes the type, the length, the date and the connection.
    """

    body: bytes
    content_type: str = JSON
    status: HTTPStatus = HTTPStatus.OK
    headers: str = ""


class Call(NamedTuple):
    """What the handler makes of the head of a request.

    Attributes:
        limit: the most bytes that the body may have after decoding.
        who: the subject of the message about a larger body, such as `this model takes`.
        answer: called with the whole body. It may begin at once, and gives the response to wait for.
        refused: called with the error if the body is refused before it is whole, such as with 413 where it is too large.
        aligned: the position in the body that should lie at a multiple of `body.ALIGNMENT` in memory.
    """

    limit: int
    who: str
    answer: Callable[[bytearray | memoryview], Awaitable[Response]]
    refused: Callable[[HttpError], None] | None = None
    aligned: int = 0


class HttpError(Exception):
    """A request is refused with a status and a message.

    Attributes:
        response: the error as `{"error": …}`, as the Open Inference Protocol asks.
    """

    def __init__(self, status: HTTPStatus, message: str, allow: str = "") -> None:
        super().__init__(message)
        self.status = status
        headers = f"Allow: {allow}\r\n" if allow else ""
        if status in TRY_AGAIN:
            headers += "Retry-After: 1\r\n"
        self.response = Response(json.dumps({"error": message}).encode(), status=status, headers=headers)


def json_response(document: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A document as JSON."""
    return Response(json.dumps(document).encode(), status=status)
