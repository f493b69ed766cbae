"""One client's connection. llhttp parses the requests, and they are answered one after the other in their order."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from bramble_workloads.edge.serve.http import limits
from bramble_workloads.edge.serve.http.body import Body
from bramble_workloads.edge.serve.http.head import RequestHead
from bramble_workloads.edge.serve.http.messages import Call, HttpError, Request, Response

if TYPE_CHECKING:
    from bramble_workloads.edge.serve.http.server import HttpServer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOTHING = memoryview(b"")
FAULT = HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "the agent has an internal error; its log has the details").response


class Connection(asyncio.BufferedProtocol):
    """Reads the requests of one client and writes the responses.

    The handler sees a request when its head is complete. Once a request is complete, no more is read, nor parsed beyond the bytes that
    were read with it (`limits.BUFFER`), until that request is answered and the client has read the response.

    Attributes:
        client: the address of the client.
        deadline: when the client's time is over, on the event loop's clock.
    """

    def __init__(self, server: HttpServer, loop: asyncio.AbstractEventLoop) -> None:
        self.deadline = math.inf
        self._server = server
        self._loop = loop
        self._transport: asyncio.Transport
        self.client = ""
        self._open = False
        self._buffer = memoryview(server.buffer)
        self._unparsed = NOTHING
        self._paused = False
        self._writable = True
        self._unsent = 0
        """At the deadline, no more bytes of a response than these may be unsent."""
        self._ended = False
        """The client sends nothing more."""
        self._broken = False
        """The client has sent something that cannot be parsed."""
        self._closing = False
        """The last response was written."""

        self._parser = HttpRequestParser(self)
        self._request_head = RequestHead()
        self._heads = 0
        """How many heads were complete."""
        self._head = 0
        """The bytes of a head that is not complete."""
        self._began = 0.0
        """When the first of them arrived."""
        self._overhead = 0
        """The bytes of a chunked body that are not data."""

        self._exchanges: deque[_Exchange] = deque()
        """Requests that are not answered, in their order. Only the last one may be incomplete."""
        self._reading: _Exchange | None = None
        """The request whose body is incomplete."""
        self._filling: _Exchange | None = None
        """The request into whose body the transport reads now."""
        self._task: asyncio.Task[None] | None = None
        """Waits for the response to the first request."""

    # --------------------------------------------------------------------------------------------------- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.client = str((self._transport.get_extra_info("peername") or [""])[0])  # None if the client has left already
        self._open = True
        self.deadline = self._loop.time() + limits.IDLE_SECONDS
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._open = False
        self._drop_all()
        self._server.closed(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the transport reads to: the body itself if its length was announced, otherwise the buffer of all connections."""
        del sizehint
        self._filling = None
        if self._reading is not None and self._reading.body is not None:
            room = self._reading.body.room
            if room is not None:
                self._filling = self._reading
                return room
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """The transport has read some bytes."""
        exchange, self._filling = self._filling, None
        if exchange is None:
            if not self._closing:
                self._parse(self._buffer[:nbytes])
        elif exchange.body is not None:
            exchange.body.filled(nbytes)
            exchange.received += nbytes
            self._check_body(exchange)
            self._answer_next()
            self._set_deadline()

    def eof_received(self) -> bool:
        """The client sends nothing more. The connection stays open while complete requests wait for their responses."""
        self._ended = True
        return not self._closing and bool(self._exchanges) and self._exchanges[0].complete

    def pause_writing(self) -> None:
        """The client reads more slowly than the server writes."""
        self._writable = False
        self._expect_progress()

    def resume_writing(self) -> None:
        """The client has read most of what was written."""
        self._writable = True
        if self._closing:
            self.deadline = self._loop.time() + limits.CLOSING_SECONDS
        elif self._task is None:
            self._go_on()

    # ------------------------------------------------------------------------------------------------------ the server

    @property
    def between_requests(self) -> bool:
        """True if no request is under way, and at most a part of a head has arrived."""
        return not self._exchanges and not self._unparsed and not self._closing

    @property
    def awaits_body(self) -> bool:
        """True if the body of its only request has not arrived."""
        return self._reading is not None and len(self._exchanges) == 1

    def close(self) -> None:
        """Close when everything that was written is sent."""
        if self._open:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._open:
            self._transport.abort()

    def expire(self) -> None:
        """End a connection whose deadline has passed."""
        if not self._open:
            return
        if not self._writable and self._transport.get_write_buffer_size() <= self._unsent:
            self._expect_progress()
        elif self._closing or not self._writable:
            self._transport.abort()
        elif self._reading is not None or self._head:
            self._end_incomplete(HttpError(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time"))
        else:
            self._transport.close()

    def _end_incomplete(self, error: HttpError) -> None:
        """Answer the incomplete request with an error, after all others, and read nothing more of it."""
        self.deadline = math.inf
        self._refuse(error)
        self._answer_next()

    # ----------------------------------------------------------------------------------------------------- the parsing

    def _parse(self, data: memoryview) -> None:
        """Parse as far as the order of the responses allows, and keep the rest."""
        at = 0
        while at < len(data) and not self._broken and self._may_parse():
            at += self._step(data[at:])
            if self._reading is None:
                self._answer_next()
        self._answer_next()
        if self._closing:
            return
        rest = NOTHING if self._broken else data[at:]
        self._unparsed = memoryview(bytes(rest)) if rest else NOTHING  # the buffer is for all connections
        self._pause(bool(rest))
        self._set_deadline()
        self._ask_for_body()

    def _may_parse(self) -> bool:
        """True if no complete request waits for its response."""
        return self._writable and not self._closing and len(self._exchanges) == (self._reading is not None)

    def _step(self, data: memoryview) -> int:
        """Parse some bytes. Returns how many."""
        exchange = self._reading
        if exchange is not None and exchange.request.content_length is not None:  # the parser is not needed for a body of announced length
            part = data[: exchange.request.content_length - exchange.received]
            self._add(exchange, part)
            self._check_body(exchange)
            return len(part)
        received, heads = (exchange.received if exchange is not None else 0), self._heads
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:  # is declined: HTTP/1.1 goes on after the head
            self._parser = HttpRequestParser(self)
            return int(upgrade.args[0])
        except HttpParserCallbackError:
            raise
        except HttpParserError as error:
            self._refuse(HttpError(HTTPStatus.BAD_REQUEST, f"the request is not HTTP/1.1: {error}"))
            return len(data)
        if exchange is not None:
            self._check_overhead(exchange, len(data) - (exchange.received - received))
        elif self._heads == heads:
            self._check_head(len(data))
        return len(data)

    def _check_head(self, count: int) -> None:
        """Bound a head that is not complete after so many more bytes."""
        if not self._head:
            self._began = self._loop.time()
        self._head += count
        if self._head > limits.MAX_HEAD:
            message = f"the request line and the headers have more than {limits.MAX_HEAD} bytes"
            self._refuse(HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message))

    def _check_overhead(self, exchange: _Exchange, count: int) -> None:
        """Bound what is not data in a chunked body, after so many more bytes of it."""
        self._overhead += count
        if self._overhead > limits.MAX_HEAD + limits.MAX_CHUNK_OVERHEAD * exchange.received:
            self._refuse(HttpError(HTTPStatus.BAD_REQUEST, "the chunks of the body are too small for their number"))

    def _check_body(self, exchange: _Exchange) -> None:
        """End a body of announced length. The parser has not seen its end, so that the next request needs a new one."""
        if exchange.received == exchange.request.content_length:
            self._parser = HttpRequestParser(self)
            self._complete(exchange)

    def _add(self, exchange: _Exchange, part: bytes | memoryview) -> None:
        """Add a part of a body. The body of a refused request is dropped."""
        exchange.received += len(part)
        if exchange.body is not None:
            try:
                exchange.body.add(part)
            except HttpError as error:
                exchange.refuse(error)

    def _complete(self, exchange: _Exchange) -> None:
        self._reading = None
        self._server.bodies.arrived(exchange)
        exchange.complete = True

    def _refuse(self, error: HttpError) -> None:
        """Parse nothing more, and answer the incomplete request, or what cannot be parsed, with an error after all others."""
        self._broken = True
        if self._reading is None:
            self._start(Request("", "", {}, None)).refuse(error)
        else:
            self._reading.refuse(error)

    def _start(self, request: Request) -> _Exchange:
        exchange = self._reading = _Exchange(request, self._loop.time())
        self._exchanges.append(exchange)
        self._server.began()
        return exchange

    # --------------------------------------------------------------------------------- called by the parser, in this order

    def on_message_begin(self) -> None:
        self._request_head = RequestHead()

    def on_url(self, url: bytes) -> None:
        self._request_head.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. Trailers of a chunked body are ignored."""
        if self._reading is None:
            self._request_head.add(name, value)

    def on_headers_complete(self) -> None:
        """Begin a request. The parser has refused heads with contradicting lengths."""
        self._heads += 1
        self._head = self._overhead = 0
        if self._broken:
            return
        head, parser = self._request_head, self._parser
        version = parser.get_http_version()
        method = parser.get_method().decode()
        head.upgrade = parser.should_upgrade()
        exchange = self._start(Request(method, head.target.decode("latin-1"), head.headers, head.content_length, self.client))
        exchange.old = version == "1.0"
        exchange.awaits_continue = head.headers.get("expect", "").lower() == "100-continue" and not exchange.old
        exchange.keep_alive = parser.should_keep_alive() and method != "CONNECT"
        error = head.fault(version)
        if error is None:
            self._admit(exchange)
        else:
            self._refuse(error)

    def on_body(self, body: bytes) -> None:
        if self._reading is not None:
            self._add(self._reading, body)

    def on_message_complete(self) -> None:
        """End a request. If it asks for an upgrade, the parser leaves out its body, which then follows."""
        exchange = self._reading
        if exchange is not None and not self._broken and not (self._request_head.upgrade and exchange.request.content_length):
            self._complete(exchange)

    # --------------------------------------------------------------------------------------------------- the responses

    def _admit(self, exchange: _Exchange) -> None:
        """Ask the handler about a request."""
        request, bodies = exchange.request, self._server.bodies
        try:
            exchange.call = call = self._server.handler(request)
            announced = None if request.coding else request.content_length  # a body of unknown length may need all that it may have
            bodies.hold(exchange, self.client, min(call.limit, bodies.most if announced is None else announced), self._end_incomplete)
            exchange.body = Body(request, call)
        except HttpError as error:
            exchange.refuse(error)

    def _ask_for_body(self) -> None:
        """Send `100 Continue` to a client that waits for it, once it is the turn of its request."""
        exchange = self._reading
        if exchange is None or exchange.body is None or not exchange.awaits_continue or self._exchanges[0] is not exchange:
            return
        exchange.awaits_continue = False
        if not exchange.received:
            self._transport.write(CONTINUE)

    def _answer_next(self) -> None:
        """Begin to answer the first request if it is complete, and answer at once what is refused."""
        while self._exchanges and self._task is None and self._writable and self._open and not self._closing:
            exchange = self._exchanges[0]
            if exchange.refusal is not None:
                self._respond(exchange, exchange.refusal.response)
            elif exchange.complete:
                self._begin(exchange)
            else:
                return

    def _begin(self, exchange: _Exchange) -> None:
        response: Response | None = FAULT
        try:
            if exchange.call is not None and exchange.body is not None:
                awaited = exchange.call.answer(exchange.body.whole())
                self._task = self._loop.create_task(self._finish(exchange, awaited))
                response = None
        except HttpError as error:
            response = error.response
        finally:
            if response is not None:
                self._respond(exchange, response)

    async def _finish(self, exchange: _Exchange, awaited: Awaitable[Response]) -> None:
        response = FAULT
        try:
            response = await awaited
        except HttpError as error:
            response = error.response
        finally:
            self._task = None
            self._respond(exchange, response)
            if not self._closing and self._writable:
                self._go_on()

    def _go_on(self) -> None:
        """Turn to the next request."""
        self._answer_next()
        if self._task is None and self._open and not self._closing:
            data, self._unparsed = self._unparsed, NOTHING
            self._parse(data)
            if self._ended and self._task is None:
                self._transport.close()

    def _respond(self, exchange: _Exchange, response: Response) -> None:
        """Write the response to the first request. It is the last one if a side wants that, or if the request is incomplete."""
        self._release(exchange)
        if not self._open:
            return
        self._exchanges.popleft()
        if self._transport.is_closing():
            return
        last = not exchange.keep_alive or not exchange.complete or self._server.leaving
        connection = "Connection: close\r\n" if last else "Connection: keep-alive\r\n" if exchange.old else ""
        status = response.status
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n"
            f"Date: {self._server.date}\r\n{response.headers}{connection}\r\n"
        ).encode("latin-1")
        self._transport.write(head if exchange.request.method == "HEAD" else head + response.body)
        if last:
            self._close_gracefully(more=not exchange.complete or bool(self._exchanges) or bool(self._unparsed))

    def _release(self, exchange: _Exchange) -> None:
        """End a request, whether it was answered or not."""
        self._server.bodies.release(exchange)
        self._server.ended()

    def _drop_all(self) -> None:
        """End the requests that will not be answered. The one that a task waits for is ended by its task."""
        for exchange in list(self._exchanges)[self._task is not None :]:
            self._release(exchange)
        self._exchanges.clear()
        self._reading = None

    def _close_gracefully(self, *, more: bool) -> None:
        """Close after the last response. If the client sends more, closing at once could destroy the response on its way."""
        self._closing = True
        self._drop_all()
        self._unparsed = NOTHING
        if not more or self._ended:
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

    # --------------------------------------------------------------------------------------------------- the deadlines

    def _set_deadline(self) -> None:
        """Set the deadline of what is waited for."""
        if self._closing or not self._writable:
            return
        if self._reading is not None:
            self.deadline = self._reading.began + limits.BODY_SECONDS + self._reading.received / limits.BYTES_A_SECOND
        elif self._exchanges:
            self.deadline = math.inf
        elif self._head:
            self.deadline = self._began + limits.HEAD_SECONDS
        else:
            self.deadline = self._loop.time() + limits.IDLE_SECONDS

    def _expect_progress(self) -> None:
        """Give the client some time to read more of what was written."""
        self.deadline = self._loop.time() + limits.BODY_SECONDS
        self._unsent = self._transport.get_write_buffer_size() - int(limits.BODY_SECONDS * limits.BYTES_A_SECOND)


class _Exchange:
    """A request and what became of it so far."""

    __slots__ = ("awaits_continue", "began", "body", "call", "complete", "keep_alive", "old", "received", "refusal", "request")

    def __init__(self, request: Request, began: float) -> None:
        self.request = request
        self.began = began
        """When the head was complete, on the event loop's clock."""
        self.old = False
        """True for HTTP/1.0."""
        self.keep_alive = True
        self.awaits_continue = False
        self.received = 0
        """The bytes of the body that have arrived, as they were sent."""
        self.complete = False
        self.call: Call | None = None
        self.body: Body | None = None
        self.refusal: HttpError | None = None

    def refuse(self, error: HttpError) -> None:
        """Answer with an error and drop the body. The first error counts."""
        if self.refusal is None:
            self.refusal = error
            if self.call is not None and self.call.refused is not None:
                self.call.refused(error)
        self.body = None
