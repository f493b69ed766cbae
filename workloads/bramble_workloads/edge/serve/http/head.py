"""The head of a request, as the parser reads it, and the faults that the parser lets pass."""

from __future__ import annotations

import re
from http import HTTPStatus

from bramble_workloads.edge.serve.http.messages import HttpError

KEPT_HEADERS = {name.encode(): name for name in ("content-type", "content-encoding", "expect", "host", "inference-header-content-length")}
"""A request with two of one of these is refused. Servers and proxies differ in which of them they read."""
VERSIONS = frozenset({"1.0", "1.1"})
HOST = re.compile(r"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)
"""The characters of a Host header, empty or not (RFC 3986, section 3.2.2, and a port)."""


class RequestHead:
    """The head of one request.

    Attributes:
        target: the target as it was sent.
        headers: the values of `KEPT_HEADERS`, by lower-case name.
        content_length: the announced length of the body, 0 if the head states none; None for a body with a Transfer-Encoding.
        upgrade: True if the client asks for another protocol.
    """

    __slots__ = ("_codings", "_repeated", "content_length", "headers", "target", "upgrade")

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.content_length: int | None = 0
        self.upgrade = False
        self._codings: list[str] = []
        """The transfer codings, in the order in which they were applied."""
        self._repeated = ""
        """The name of a kept header that came twice."""

    def add(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        name = name.lower()
        kept = KEPT_HEADERS.get(name)
        if kept is not None:
            if kept in self.headers:
                self._repeated = kept
            self.headers[kept] = value.decode("latin-1")
        elif name == b"content-length":
            self.content_length = int(value)
        elif name == b"transfer-encoding":
            self.content_length = None
            self._codings += [coding for each in value.decode("latin-1").split(",") if (coding := each.strip().lower())]

    def fault(self, version: str) -> HttpError | None:
        """Why a head that the parser accepts must be refused all the same; None if nothing is wrong.

        Source: RFC 9112, sections 3.2 (Host), 6.1 and 6.3 (Transfer-Encoding).

        Args:
            version: the version of HTTP, such as `1.1`.
        """
        if version not in VERSIONS:
            return HttpError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"the version is HTTP/{version}: send HTTP/1.1")
        if self.content_length is None and (version == "1.0" or self.upgrade):
            return _bad("a chunked body needs HTTP/1.1 and no Upgrade")
        if self._repeated:
            return _bad(f"the request has the header {self._repeated.title()} twice: send it once")
        host = self.headers.get("host", "" if version == "1.0" else None)
        if host is None:
            return _bad("the request has no Host header, which HTTP/1.1 requires")
        if not HOST.fullmatch(host):
            return _bad(f"the Host header is {host!r}: send a host and perhaps a port")
        return self._fault_of_codings()

    def _fault_of_codings(self) -> HttpError | None:
        if self.content_length is not None or self._codings == ["chunked"]:
            return None
        stated = ", ".join(self._codings)
        if self._codings.count("chunked") != 1 or self._codings[-1] != "chunked":
            return _bad(f"the Transfer-Encoding is {stated!r}: it must end with chunked, and have it once")
        message = f"the Transfer-Encoding is {stated!r}: only chunked is decoded; name another coding of the body in Content-Encoding"
        return HttpError(HTTPStatus.NOT_IMPLEMENTED, message)


def _bad(message: str) -> HttpError:
    return HttpError(HTTPStatus.BAD_REQUEST, message)
