"""Decodes bodies that are sent as `Content-Encoding: gzip` or `deflate`."""

from __future__ import annotations

import zlib
from http import HTTPStatus

from bramble_workloads.edge.serve.http.errors import HttpError

GZIP_BITS = 16 + zlib.MAX_WBITS
ZLIB_METHOD = 8
"""The lower half of the first byte of a zlib stream. Some clients send `deflate` without that header."""


class Decoder:
    """A body that is decoded as it arrives, never to more bytes than are asked for."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._bits = GZIP_BITS if coding == "gzip" else 0
        self._stream: zlib._Decompress | None = None

    def decode(self, part: bytes | bytearray | memoryview, most: int) -> bytes:
        """The next bytes; at `most` of them the rest of the part is dropped, so ask for one more than may come.

        Raises:
            HttpError: 400 the bytes are not of this coding.
        """
        if not part:
            return b""
        if self._stream is None:
            bits = self._bits or (zlib.MAX_WBITS if part[0] & 0x0F == ZLIB_METHOD else -zlib.MAX_WBITS)
            self._stream = zlib.decompressobj(bits)
        if self._stream.eof:
            raise self._malformed("more follows its end")
        try:
            found = self._stream.decompress(part, most)
        except zlib.error as error:
            raise self._malformed(str(error)) from None
        if self._stream.unused_data:
            raise self._malformed("more follows its end")
        return found

    def finish(self) -> None:
        """No more will come.

        Raises:
            HttpError: 400 the end of the stream is missing.
        """
        if self._stream is None or not self._stream.eof:
            raise self._malformed("its end is missing")

    def _malformed(self, why: str) -> HttpError:
        return HttpError(HTTPStatus.BAD_REQUEST, f"the body is not {self._coding} as its Content-Encoding says: {why}")


def decoder_of(coding: str) -> Decoder | None:
    """A decoder for a Content-Encoding; None where the body is as it is.

    Raises:
        HttpError: 415 the coding is another one, or several.
    """
    name = coding.strip().lower()
    if name in {"", "identity"}:
        return None
    if name in {"gzip", "x-gzip", "deflate"}:
        return Decoder(name.removeprefix("x-"))
    raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the Content-Encoding is {coding!r}: send gzip, deflate or none")
