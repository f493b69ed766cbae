"""Requests and responses as the API sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

from bramble_workloads.edge.serve.http.coding import Decoder, decoder_of
from bramble_workloads.edge.serve.http.errors import HttpError

JSON = "application/json"
TRY_AGAIN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Response(NamedTuple):
    """An answer.

    Attributes:
        headers: whole lines, each with its CRLF; content type, length, date and connection are the server's to write.
    """

    body: bytes
    content_type: str = JSON
    status: HTTPStatus = HTTPStatus.OK
    headers: str = ""


def json_response(document: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A document as JSON."""
    return Response(json.dumps(document).encode(), status=status)


def error_response(status: HTTPStatus, message: str, allow: str = "") -> Response:
    """An error as `{"error": …}`, as the Open Inference Protocol asks."""
    headers = f"Allow: {allow}\r\n" if allow else ""
    if status in TRY_AGAIN:
        headers += "Retry-After: 1\r\n"
    return Response(json.dumps({"error": message}).encode(), status=status, headers=headers)


class Request:
    """A request whose head was read. Its body arrives while the handler runs; no more of it is held than the handler asked for.

    Attributes:
        method: in capitals.
        target: as it was sent: a path with percent signs and a query, or a whole URL.
        headers: the few that the server keeps, by lower-case name.
        content_length: as announced; None for a chunked body.
        old: whether the client speaks HTTP/1.0.
        keep_alive: whether the client wants the connection kept.
        began: when its head was complete, on the event loop's clock.
        complete: whether all of it has arrived.
        received: bytes of the body that have arrived, as they were sent.
    """

    __slots__ = (
        "_ask",
        "_asked",
        "_body",
        "_decoder",
        "_error",
        "_limit",
        "_refusal",
        "_waiter",
        "began",
        "complete",
        "content_length",
        "headers",
        "keep_alive",
        "method",
        "old",
        "received",
        "target",
    )

    def __init__(
        self, method: str, target: str, headers: dict[str, str], content_length: int | None, began: float, ask: Callable[[], None]
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.content_length = content_length
        self.old = False
        self.keep_alive = True
        self.began = began
        self.complete = False
        self.received = 0
        self._ask = ask
        self._body = bytearray()
        self._decoder: Decoder | None = None
        self._asked = False
        self._limit = 0
        self._refusal = HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None

    # ------------------------------------------------------------------------------------------------- for the handler

    @property
    def media_type(self) -> str:
        """Of the body, in lower case and without parameters; empty where none is stated."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def plain(self) -> bool:
        """Whether the announced length is the length that `read` gives."""
        return self.content_length is not None and "content-encoding" not in self.headers

    async def read(self, limit: int, who: str) -> bytearray:
        """The whole body, decoded.

        Args:
            limit: bytes that it may have; no more are ever held.
            who: takes at most so many, as in `this model takes`.

        Raises:
            HttpError: 413 it has more; 415 its coding is not known; 400 it is malformed; 408 it did not arrive in time.
            Disconnected: the client has left.
        """
        self._refusal = HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request is too large; {who} at most {limit} bytes")
        if (self.content_length or 0) > limit:
            raise self._refusal
        self._asked, self._limit = True, limit
        early = self._body
        if not self.plain:
            self._decoder = decoder_of(self.headers.get("content-encoding", ""))
            self._body = bytearray()
            self._extend(early)
            if self.complete:
                self._finish()
        elif not self.complete:
            self._body = bytearray(self.content_length or 0)
            self._body[: len(early)] = early
        if not self.complete and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            self._ask()
            await self._waiter
        if self._error is not None:
            raise self._error
        return self._body

    # ---------------------------------------------------------------------------------------------- for the connection

    @property
    def wanted(self) -> bool:
        """Whether the handler waits for the body."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def missing(self) -> memoryview | None:
        """Where the rest of a body of announced length goes while the handler waits for it."""
        if not self.wanted or not self.plain:
            return None
        return memoryview(self._body)[self.received :]

    def filled(self, count: int) -> None:
        """So many bytes were written to `missing`."""
        self.received += count

    def take(self, part: bytes | bytearray | memoryview) -> None:
        """Part of the body arrived."""
        if not self._asked:  # what comes with the head, before the handler runs
            self._body += part
        elif self.plain:
            self._body[self.received : self.received + len(part)] = part
        else:
            self._extend(part)
        self.received += len(part)

    def finish(self) -> None:
        """All of the request has arrived."""
        self.complete = True
        if self._asked:
            self._finish()
        self._wake()

    def fail(self, error: Exception) -> None:
        """The rest will not come, or is not wanted."""
        if not self.complete:
            self._stop(error)

    def _extend(self, part: bytes | bytearray | memoryview) -> None:
        """A part of a body that is coded or of unknown length."""
        if self._error is not None:
            return
        try:
            self._body += part if self._decoder is None else self._decoder.decode(part, self._limit - len(self._body) + 1)
        except HttpError as error:
            self._stop(error)
        if len(self._body) > self._limit:
            self._stop(self._refusal)

    def _finish(self) -> None:
        if self._decoder is not None and self._error is None:
            try:
                self._decoder.finish()
            except HttpError as error:
                self._stop(error)

    def _stop(self, error: Exception) -> None:
        self._error = self._error or error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
