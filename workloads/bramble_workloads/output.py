"""Keeps a copy of what a step prints, so that the log can be uploaded and a cause can quote its last lines."""

from __future__ import annotations

import io
import sys
from collections import deque
from types import TracebackType
from typing import Self, TextIO

LIMIT = 10 * 1024 * 1024
"""Characters that are kept. The oldest are dropped first."""


class _Copied(io.TextIOBase):
    """A stream that passes everything on to another stream, and adds it to the transcript."""

    def __init__(self, through: TextIO, transcript: Transcript) -> None:
        self._through = through
        self._transcript = transcript

    def write(self, text: str) -> int:
        self._transcript.keep(text)
        return self._through.write(text)

    def flush(self) -> None:
        self._through.flush()

    def isatty(self) -> bool:
        return self._through.isatty()

    def fileno(self) -> int:
        return self._through.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._through.encoding


class Transcript:
    """Copies `sys.stdout` and `sys.stderr` while it is open.

    Output that C code writes directly to the file descriptors is only in the log of the container.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._pieces: deque[str] = deque()
        self._size = 0

    def __enter__(self) -> Self:
        self._streams = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = _Copied(sys.stdout, self), _Copied(sys.stderr, self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        sys.stdout, sys.stderr = self._streams

    def keep(self, text: str) -> None:
        """Add text to the copy."""
        self._pieces.append(text)
        self._size += len(text)
        while self._size > self._limit and len(self._pieces) > 1:
            self._size -= len(self._pieces.popleft())

    def content(self) -> bytes:
        """The whole copy, as UTF-8."""
        return "".join(self._pieces).encode(errors="replace")

    def last(self, lines: int) -> list[str]:
        """The last lines of the copy that are not empty."""
        return [line for line in "".join(self._pieces).splitlines() if line.strip()][-lines:]
