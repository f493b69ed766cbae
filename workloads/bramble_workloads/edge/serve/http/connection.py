"""One client's connection. llhttp parses requests; they are answered one after the other, and none is begun before its turn."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from bramble_workloads.edge.serve.http import limits
from bramble_workloads.edge.serve.http.errors import Disconnected, HttpError
from bramble_workloads.edge.serve.http.messages import Request, Response, error_response

if TYPE_CHECKING:
    from bramble_workloads.edge.serve.http.server import HttpServer

KEPT_HEADERS = {name.encode(): name for name in ("content-type", "content-encoding", "expect", "inference-header-content-length")}
VERSIONS = frozenset({"1.0", "1.1"})
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOTHING = memoryview(b"")
FAULT = error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "the agent has a fault of its own: its log says more")


class Connection(asyncio.BufferedProtocol):
    """All that one client sends and is answered.

    Bytes go to the parser in small steps. A request begins when its head is complete; its body arrives while its handler runs. What
    follows a complete request stays unparsed until the request is answered and the client has taken the answer.

    Attributes:
        deadline: when the client's time is over, on the event loop's clock.
    """

    def __init__(self, server: HttpServer, loop: asyncio.AbstractEventLoop) -> None:
        self.deadline = math.inf
        self._server = server
        self._loop = loop
        self._transport: asyncio.Transport
        self._open = False
        self._buffer = memoryview(server.buffer)
        self._unparsed = NOTHING
        self._paused = False
        self._writable = True
        self._unsent = 0
        """No more than so many bytes of an answer may be left at the deadline."""
        self._ended = False
        """The client sends no more."""
        self._broken = False
        """What the client sends cannot be parsed."""
        self._closing = False
        """The last answer was given."""

        self._parser = HttpRequestParser(self)
        self._target = b""
        self._headers: dict[str, str] = {}
        self._length: int | None = 0
        self._upgrade = False
        self._heads = 0
        """How many were completed."""
        self._head = 0
        """Bytes of one that is not complete."""
        self._began = 0.0
        """When the first of them came."""
        self._overhead = 0
        """Bytes of a chunked body that are not data."""

        self._reading: Request | None = None
        """Its head is complete and its body is not."""
        self._body: Request | None = None
        """Into its body the transport is reading now."""
        self._answering: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._queue: deque[Request | Response] = deque()
        """Requests that wait for the one before; a response is the last, about something that cannot be parsed."""

    # --------------------------------------------------------------------------------------------------- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._open = True
        self.deadline = self._loop.time() + limits.IDLE_SECONDS
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._open = False
        self._queue.clear()
        if self._reading is not None:
            self._reading.fail(Disconnected())
        self._server.closed(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the transport reads to: the rest of the body that a handler waits for, or else the server's buffer."""
        del sizehint
        if self._reading is not None:
            missing = self._reading.missing
            if missing is not None:
                self._body = self._reading
                return missing
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        request, self._body = self._body, None
        if request is not None:
            request.filled(nbytes)
            self._read_body(request)
            self._set_deadline()
        elif self._reading is not None and not self._reading.wanted:
            self._hold(self._buffer[:nbytes])
        elif not self._closing:
            self._parse(self._buffer[:nbytes])

    def eof_received(self) -> bool:
        """The client sends no more. Only one that waits for answers keeps its connection."""
        if self._reading is not None:
            self._reading.fail(Disconnected())
            return False
        self._ended = True
        return not self._closing and not self.between_requests

    def pause_writing(self) -> None:
        """The client does not take its answer as fast as it is written."""
        self._writable = False
        self._expect_to_write()

    def resume_writing(self) -> None:
        """The client has taken most of its answer."""
        self._writable = True
        if self._closing:
            self.deadline = self._loop.time() + limits.CLOSING_SECONDS
        elif self._answering is None:
            self._next()

    # ------------------------------------------------------------------------------------------------------ the server

    @property
    def between_requests(self) -> bool:
        """Whether no request is under way: at most a part of a head has arrived."""
        return self._reading is None and self._answering is None and not self._queue and not self._unparsed and not self._closing

    def close(self) -> None:
        """Close once what was written is sent."""
        if self._open:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._open:
            self._transport.abort()

    def expire(self) -> None:
        """The client's time is over."""
        self.deadline = math.inf
        if not self._open:
            return
        if not self._writable and self._transport.get_write_buffer_size() <= self._unsent:
            self._expect_to_write()
        elif self._closing or not self._writable:
            self._transport.abort()
        elif self._reading is not None or self._head:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time")
        else:
            self._transport.close()

    # ----------------------------------------------------------------------------------------------------- the parsing

    def _parse(self, data: memoryview) -> None:
        """Parse as far as may be parsed now; the rest waits, and so does the client."""
        at = 0
        while at < len(data) and not self._broken and self._may_parse():
            at += self._step(data[at:])
        self._hold(NOTHING if self._broken else data[at:])
        self._set_deadline()

    def _hold(self, rest: memoryview) -> None:
        """Keep what may not be parsed yet, and read no more until it was."""
        if self._closing:
            return
        self._unparsed = memoryview(bytes(rest)) if rest else NOTHING  # the server's buffer is for all connections
        self._pause(bool(rest))

    def _may_parse(self) -> bool:
        """Whether the next bytes are of the request whose turn it is."""
        return not self._queue and (self._answering is None or self._answering is self._reading) and self._writable

    def _step(self, data: memoryview) -> int:
        """Parse a few bytes; how many they were."""
        request = self._reading
        if request is not None and request.content_length is not None:  # a body of announced length needs no parser
            part = data[: request.content_length - request.received]
            request.take(part)
            self._read_body(request)
            return len(part)
        part = data[: limits.STEP]
        received, heads = (request.received if request is not None else 0), self._heads
        try:
            self._parser.feed_data(part)
        except HttpParserUpgrade as upgrade:  # which is declined: HTTP/1.1 goes on where the head ends
            self._parser = HttpRequestParser(self)
            return int(upgrade.args[0])
        except HttpParserError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"this is not HTTP/1.1: {error}")
            return len(part)
        if request is not None:
            self._check_overhead(request, len(part) - (request.received - received))
        elif self._heads == heads:
            self._check_head(len(part))
        return len(part)

    def _check_head(self, count: int) -> None:
        """So many bytes arrived, and the head is not complete."""
        if not self._head:
            self._began = self._loop.time()
        self._head += count
        if self._head > limits.MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head of a request has at most {limits.MAX_HEAD} bytes")

    def _check_overhead(self, request: Request, count: int) -> None:
        """So many bytes of a chunked body arrived that are not data."""
        self._overhead += count
        if self._overhead > limits.MAX_HEAD + limits.MAX_CHUNK_OVERHEAD * request.received:
            self._refuse(HTTPStatus.BAD_REQUEST, "the chunks of the body are too small")

    def _read_body(self, request: Request) -> None:
        """More of a body of announced length arrived."""
        if request.received == request.content_length:
            self._parser = HttpRequestParser(self)
            self._reading = None
            request.finish()

    # ------------------------------------------------------------------------------------- what the parser calls, in order

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target = b""
        self._headers = {}
        self._length = 0
        self._upgrade = False

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is ignored."""
        if self._reading is not None:
            return
        name = name.lower()
        if name in KEPT_HEADERS:
            self._headers[KEPT_HEADERS[name]] = value.decode("latin-1")
        elif name == b"content-length":
            self._length = int(value)
        elif name == b"transfer-encoding":
            self._length = None

    def on_headers_complete(self) -> None:
        """A head is complete. The parser has refused heads whose lengths contradict each other."""
        self._heads += 1
        self._head = self._overhead = 0
        if self._broken:
            return
        parser = self._parser
        version = parser.get_http_version()
        old = version == "1.0"
        if version not in VERSIONS:
            self._refuse(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"the version is HTTP/{version}: speak HTTP/1.1")
            return
        self._upgrade = parser.should_upgrade()
        if self._length is None and (old or self._upgrade):
            self._refuse(HTTPStatus.BAD_REQUEST, "a chunked body goes with HTTP/1.1 and without an upgrade only")
            return
        request = Request(
            parser.get_method().decode(), self._target.decode("latin-1"), self._headers, self._length, self._loop.time(), self._read_on
        )
        request.old = old
        request.keep_alive = parser.should_keep_alive() and request.method != "CONNECT"
        self._reading = request
        if self._answering is None and not self._queue and self._writable:
            self._begin(request)
        else:
            self._queue.append(request)

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        if self._reading is not None:
            self._reading.take(body)

    def on_message_complete(self) -> None:
        """A request is complete. Of one with an upgrade the parser does not see the body, which still follows."""
        request = self._reading
        if request is not None and not (self._upgrade and request.content_length):
            self._reading = None
            request.finish()

    # --------------------------------------------------------------------------------------------------- the answering

    def _begin(self, request: Request) -> None:
        self._answering = request
        self._server.began()
        self._task = self._loop.create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        response: Response | None = FAULT
        try:
            response = await self._server.handler(request)
        except HttpError as error:
            response = error_response(error.status, str(error), error.allow)
        except Disconnected:
            response = None
        finally:
            self._server.ended()
            self._answering = self._task = None
            if self._open and not self._transport.is_closing() and response is not None:
                self._write(request, response)

    def _read_on(self) -> None:
        """A handler waits for a body."""
        request = self._reading
        if request is None or not self._open:
            return
        if not request.received and not request.old and request.headers.get("expect", "").lower() == "100-continue":
            self._transport.write(CONTINUE)
        self._parse_on()

    def _parse_on(self) -> None:
        data, self._unparsed = self._unparsed, NOTHING
        self._parse(data)

    def _write(self, request: Request | None, response: Response) -> None:
        """Write an answer, and go on with the next request or close."""
        last = request is None or not request.keep_alive or not request.complete or self._server.leaving
        connection = "Connection: close\r\n" if last else "Connection: keep-alive\r\n" if request is not None and request.old else ""
        status = response.status
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n"
            f"Date: {self._server.date}\r\n{response.headers}{connection}\r\n"
        ).encode("latin-1")
        self._transport.write(head if request is not None and request.method == "HEAD" else head + response.body)
        if last:
            self._finish(whole=request is not None and request.complete)
        elif self._writable:
            self._next()

    def _next(self) -> None:
        """Turn to the next request."""
        if self._queue:
            following = self._queue.popleft()
            if isinstance(following, Request):
                self._begin(following)
                self._set_deadline()
            else:
                self._write(None, following)
        else:
            self._parse_on()
            if self._ended and self.between_requests and self._open:
                self._transport.close()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Nothing more can be read: say why, after what is answered before, and close."""
        self._broken = True
        if self._reading is not None:
            self._reading.fail(HttpError(status, message))
        elif self._answering is not None or self._queue:
            self._queue.append(error_response(status, message))
        elif self._open and not self._closing:
            self._write(None, error_response(status, message))

    def _finish(self, *, whole: bool) -> None:
        """Close after the last answer. While the client still sends, the end of a connection could destroy the answer on its way."""
        self._closing = True
        if whole and not self._queue and not self._unparsed:
            self._transport.close()
            return
        self._queue.clear()
        self._unparsed = NOTHING
        if self._ended:
            self._transport.close()
            return
        self._transport.write_eof()
        self._pause(False)
        if self._writable:
            self.deadline = self._loop.time() + limits.CLOSING_SECONDS

    def _pause(self, pause: bool) -> None:
        if pause == self._paused or not self._open or self._transport.is_closing():
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _set_deadline(self) -> None:
        """By what is waited for."""
        if self._closing or not self._writable:
            return
        if self._reading is not None:
            seconds = limits.BODY_SECONDS + self._reading.received / limits.BYTES_A_SECOND
            self.deadline = self._reading.began + seconds
        elif self._answering is not None or self._queue:
            self.deadline = math.inf
        elif self._head:
            self.deadline = self._began + limits.HEAD_SECONDS
        else:
            self.deadline = self._loop.time() + limits.IDLE_SECONDS

    def _expect_to_write(self) -> None:
        """The client has some time to take more of its answer."""
        self.deadline = self._loop.time() + limits.BODY_SECONDS
        self._unsent = self._transport.get_write_buffer_size() - int(limits.BODY_SECONDS * limits.BYTES_A_SECOND)
