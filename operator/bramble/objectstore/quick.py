"""Sends requests for whole objects over connections that are kept, with a tenth of the work that the S3 client does for each.

A snapshot reads and writes hundreds of thousands of small objects, and the work for each request was most of what it cost beside decoding.
The standard library takes a third of that for the headers of the answers, of which only those are needed that tell where it ends. A request
that is not answered with 200, or in a way that is not understood here, is left to the client, which repeats it or says what is wrong.
"""

from __future__ import annotations

import ssl
import weakref
from collections import deque
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

LONGEST_LINE, MOST_HEADERS = 65536, 100
"""Of an answer, as in `http.client`."""
ENDS = (b"\r\n", b"\n")


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
        except (OSError, HTTPException, ValueError):
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
        self._file = made.sock.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self._made.close()

    def ask(self, method: str, target: str, body: bytes | None) -> Answer | None:
        """Send a request and read its answer; None if that has another status than 200.

        Raises:
            OSError, HTTPException, ValueError: there is no whole answer.
        """
        length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
        self._made.sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\nAccept-Encoding: identity\r\n{length}\r\n".encode())
        if body:
            self._made.sock.sendall(body)
        version, status, *_ = self._line().split(None, 2)
        if status != b"200":
            return None
        headers = self._headers()
        may_follow = version == b"HTTP/1.1" and headers.get(b"connection", b"").lower() != b"close"
        if b"transfer-encoding" in headers:
            return Answer(self._chunked(headers), may_follow)
        if b"content-length" in headers:
            return Answer(self._exactly(int(headers[b"content-length"])), may_follow)
        return Answer(self._file.read(), may_follow=False)

    def _headers(self) -> Mapping[bytes, bytes]:
        """The headers up to the empty line, by their names in lower case."""
        headers: dict[bytes, bytes] = {}
        while (line := self._line()) not in ENDS:
            if len(headers) >= MOST_HEADERS:
                raise HTTPException(f"more than {MOST_HEADERS} headers")
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        return headers

    def _chunked(self, headers: Mapping[bytes, bytes]) -> bytes:
        if headers[b"transfer-encoding"].lower() != b"chunked" or b"content-length" in headers:
            raise HTTPException("the end of the answer is not stated in one way")
        parts = []
        while size := int(self._line().partition(b";")[0], 16):
            parts.append(self._exactly(size))
            if self._line() not in ENDS:
                raise HTTPException("a chunk is longer than it says")
        self._headers()
        return b"".join(parts)

    def _exactly(self, count: int) -> bytes:
        if count < 0:
            raise HTTPException("a length is negative")
        content = self._file.read(count)
        if len(content) < count:
            raise HTTPException("the answer broke off")
        return content

    def _line(self) -> bytes:
        line = self._file.readline(LONGEST_LINE + 1)
        if not line.endswith(b"\n") or len(line) > LONGEST_LINE:
            raise HTTPException("the answer broke off, or a line is too long")
        return line


def _close(idle: deque[_Connection]) -> None:
    while idle:
        idle.pop().close()
