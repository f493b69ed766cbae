"""Sends requests for whole objects over connections that are kept, with a fraction of the work that the S3 client does for each.

A snapshot reads and writes hundreds of thousands of small objects, and the work for each request was most of what it cost beside decoding.
The standard library's client takes a third of that to make a message of the headers of each answer; llhttp (httptools) reads them here.
A request that is not answered with 200, or in a way that llhttp refuses, is left to the client, which repeats it or says what is wrong.
"""

from __future__ import annotations

import ssl
import weakref
from collections import deque
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

LONGEST_HEADERS = 65536
READ_BYTES = 262144
"""What is read from a connection at a time."""


class Answer(NamedTuple):
    """The content of an answer with status 200, and whether another request may follow on its connection."""

    content: bytes
    may_follow: bool


class QuickRequests:
    """Connections to one host. Threads may share an instance; each request has a connection of its own.

    Args:
        origin: the scheme and the host of the store.
        tls: the context for a host with TLS.
        connect_seconds: how long a connection may take.
        read_seconds: how long the store may send nothing.
    """

    def __init__(self, origin: str, tls: ssl.SSLContext | None, connect_seconds: float, read_seconds: float) -> None:
        self.host, self._tls = urlsplit(origin).netloc, tls
        self._connect_seconds, self._read_seconds = connect_seconds, read_seconds
        self._idle: deque[_Connection] = deque()
        weakref.finalize(self, _close, self._idle)

    def send(self, method: str, target: str, body: bytes | None = None) -> bytes | None:
        """The content of the answer; None if there was none, or not with status 200. Then the connection is closed.

        Args:
            method: of HTTP.
            target: the path and the query of a presigned URL, so no header is needed.
            body: what to write.
        """
        connection: _Connection | None = None
        try:
            connection = self._connection()
            answer = connection.ask(method, target, body)
        except (OSError, HTTPException, HttpParserError, HttpParserUpgrade, ValueError):
            answer = None
        if answer is not None and answer.may_follow and connection is not None:
            self._idle.append(connection)
        elif connection is not None:
            connection.close()
        return answer.content if answer is not None else None

    def clear(self) -> None:
        """End the connections that no request uses."""
        _close(self._idle)

    def _connection(self) -> _Connection:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        if self._tls is None:
            made = HTTPConnection(self.host, timeout=self._connect_seconds)
        else:
            made = HTTPSConnection(self.host, timeout=self._connect_seconds, context=self._tls)
        made.connect()
        made.sock.settimeout(self._read_seconds)
        return _Connection(made, self.host)


class _Connection:
    """A connection, one request after the other (HTTP/1.1, RFC 9112)."""

    def __init__(self, made: HTTPConnection, host: str) -> None:
        self._made, self._host = made, host

    def close(self) -> None:
        self._made.close()

    def ask(self, method: str, target: str, body: bytes | None) -> Answer | None:
        """Send a request and read its answer; None if that has another status than 200, or breaks off.

        Raises:
            OSError: the connection failed.
            HttpParserError, HttpParserUpgrade: the answer cannot be understood.
        """
        length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
        self._made.sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\nAccept-Encoding: identity\r\n{length}\r\n".encode())
        if body:
            self._made.sock.sendall(body)
        reading = _Reading()
        try:
            while reading.answer is None:
                received = self._made.sock.recv(READ_BYTES)
                if not received or not reading.goes_on(received):
                    return None
            return reading.answer
        finally:
            reading.end()


class _Reading:
    """An answer while it arrives.

    Attributes:
        answer: the whole one; None until then.
    """

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self._parser = HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._has_headers = False
        self._received = 0

    def goes_on(self, received: bytes) -> bool:
        """Read more bytes. Returns False if the status is another than 200.

        Raises:
            HttpParserError, HttpParserUpgrade: the answer cannot be understood.
        """
        self._parser.feed_data(received)
        self._received += len(received)
        if self._received > LONGEST_HEADERS and not self._has_headers:
            raise HttpParserError(f"more than {LONGEST_HEADERS} bytes of headers")
        return self._parser.get_status_code() in (0, HTTPStatus.OK)

    def end(self) -> None:
        """Forget the parser. It refers to this object, so the content would stay until garbage is collected."""
        del self._parser

    def on_message_begin(self) -> None:
        if self.answer is not None:
            raise HttpParserError("another answer follows, which nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"transfer-encoding" and value.lower() != b"chunked":
            raise HttpParserError(f"transfer encoding {value!r}, which nobody asked for")

    def on_headers_complete(self) -> None:
        self._has_headers = True

    def on_body(self, content: bytes) -> None:
        self._parts.append(content)

    def on_message_complete(self) -> None:
        self.answer = Answer(b"".join(self._parts), self._parser.should_keep_alive())


def _close(idle: deque[_Connection]) -> None:
    while idle:
        idle.pop().close()
