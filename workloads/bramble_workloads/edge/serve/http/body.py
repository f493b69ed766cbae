"""Collects the body of a request, decodes it, and holds no more of it than the handler allows."""

from __future__ import annotations

import zlib
from http import HTTPStatus

from bramble_workloads.edge.serve.http.messages import Call, HttpError, Request

GZIP_BITS = 16 + zlib.MAX_WBITS
ZLIB_METHOD = 8
"""The lower half of the first byte of a zlib stream. Some clients send `deflate` without this header."""

ALIGNMENT = 16
"""CPython's allocator aligns every block to this, and so the first byte of a bytearray."""

Part = bytes | memoryview


class Body:
    """The body of one request, as far as it has arrived.

    Raises:
        HttpError: 413 if it is announced to be too large, 415 if its coding is not supported.
    """

    def __init__(self, request: Request, call: Call) -> None:
        self._limit = call.limit
        self._who = call.who
        if (request.content_length or 0) > call.limit:
            raise self._too_large()
        self._decoder = _Decoder(request.coding) if request.coding else None
        self._fixed = self._decoder is None and request.content_length is not None
        self._offset = -call.aligned % ALIGNMENT if self._fixed else 0
        self._content = bytearray(self._offset + (request.content_length or 0) if self._fixed else 0)
        self._filled = self._offset

    @property
    def room(self) -> memoryview | None:
        """Where the next bytes of a body of announced length belong; None if they must be decoded, or if their number is not known."""
        return memoryview(self._content)[self._filled :] if self._fixed else None

    def filled(self, count: int) -> None:
        """So many bytes were written to `room`."""
        self._filled += count

    def add(self, part: Part) -> None:
        """Take the next bytes.

        Raises:
            HttpError: 413 if there are too many, 400 if they are not of the stated coding.
        """
        if self._fixed:
            self._content[self._filled : self._filled + len(part)] = part
            self.filled(len(part))
        else:
            self._content += part if self._decoder is None else self._decoder.decode(part, self._limit - len(self._content) + 1)
        if len(self._content) - self._offset > self._limit:
            raise self._too_large()

    def whole(self) -> bytearray | memoryview:
        """The decoded body, once all of it has arrived.

        Raises:
            HttpError: 400 if the end of the coded stream is missing.
        """
        if self._decoder is not None:
            self._decoder.finish()
        return memoryview(self._content)[self._offset :] if self._offset else self._content

    def _too_large(self) -> HttpError:
        return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request is too large; {self._who} at most {self._limit} bytes")


class _Decoder:
    """Decodes a stream of `gzip` or `deflate`, and never to more bytes than are asked for."""

    def __init__(self, coding: str) -> None:
        if coding not in {"gzip", "x-gzip", "deflate"}:
            raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the Content-Encoding is {coding!r}: send gzip, deflate or none")
        self._coding = coding
        self._stream: zlib._Decompress | None = None

    def decode(self, part: Part, most: int) -> bytes:
        """The next decoded bytes. What would be more than `most` is lost."""
        if not part:
            return b""
        if self._stream is None:
            raw = self._coding == "deflate" and part[0] & 0x0F != ZLIB_METHOD
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS if self._coding == "deflate" else GZIP_BITS)
        if self._stream.eof:
            raise self._malformed("more bytes follow its end")
        try:
            found = self._stream.decompress(part, most)
        except zlib.error as error:
            raise self._malformed(str(error)) from None
        if self._stream.unused_data:
            raise self._malformed("more bytes follow its end")
        return found

    def finish(self) -> None:
        if self._stream is None or not self._stream.eof:
            raise self._malformed("its end is missing")

    def _malformed(self, why: str) -> HttpError:
        return HttpError(HTTPStatus.BAD_REQUEST, f"the body is not {self._coding}, which its Content-Encoding states: {why}")
