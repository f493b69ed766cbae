"""Sends requests for whole objects over connections that are kept, with a third of the work that the S3 client does for each.

A snapshot reads and writes hundreds of thousands of small objects, and the client's own work was most of what it cost beside decoding. A
request that is not answered with 200 is left to the client, which repeats it or says what is wrong.
"""

from __future__ import annotations

import ssl
import weakref
from collections import deque
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit


class QuickRequests:
    """Connections to one endpoint. Threads may share an instance; each request has a connection of its own.

    Args:
        endpoint: the URL of the store, with a scheme.
        tls: the context for an endpoint with TLS.
        connect_seconds: how long a connection may take.
        read_seconds: how long the store may send nothing.
    """

    def __init__(self, endpoint: str, tls: ssl.SSLContext | None, connect_seconds: float, read_seconds: float) -> None:
        self._address, self._tls = urlsplit(endpoint).netloc, tls
        self._connect_seconds, self._read_seconds = connect_seconds, read_seconds
        self._idle: deque[HTTPConnection] = deque()
        weakref.finalize(self, _close, self._idle)

    def send(self, method: str, url: str, body: bytes | None = None) -> bytes | None:
        """The content of the answer; None if there was none, or not with status 200. Then the connection is closed.

        Args:
            method: of HTTP.
            url: presigned, so no header is needed.
            body: what to write.
        """
        parts = urlsplit(url)
        connection: HTTPConnection | None = None
        try:
            connection = self._connection()
            connection.request(method, f"{parts.path}?{parts.query}", body)
            response = connection.getresponse()
            content = response.read()
        except (OSError, HTTPException):
            if connection is not None:
                connection.close()
            return None
        if response.status != HTTPStatus.OK:
            connection.close()
            return None
        self._idle.append(connection)
        return content

    def clear(self) -> None:
        """End the connections that no request uses."""
        _close(self._idle)

    def _connection(self) -> HTTPConnection:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        if self._tls is None:
            made = HTTPConnection(self._address, timeout=self._connect_seconds)
        else:
            made = HTTPSConnection(self._address, timeout=self._connect_seconds, context=self._tls)
        made.connect()
        made.sock.settimeout(self._read_seconds)
        return made


def _close(idle: deque[HTTPConnection]) -> None:
    while idle:
        idle.pop().close()
