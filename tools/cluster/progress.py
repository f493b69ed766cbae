"""One line that says what a long preparation is doing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Progress = Callable[[str], None]
"""Takes one line for a person, without a line break; it may come several times a second."""
QUIET = 15.0
"""Seconds between lines of the same stage where lines cannot be overwritten."""


def silent(line: str) -> None:
    """Progress for nobody."""


def span(seconds: float) -> str:
    """`45 s`, `5 min 40 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


@contextmanager
def live_line(stream: TextIO) -> Iterator[Progress]:
    """Progress on a stream: one line that is overwritten in a terminal, else a line per stage and every QUIET seconds.

    The stage of a line is what stands before its first colon.
    """
    if stream.isatty():

        def overwrite(line: str) -> None:
            stream.write(f"\r\x1b[K{line}")
            stream.flush()

        try:
            yield overwrite
        finally:
            overwrite("")
        return

    shown_stage, shown_at = "", 0.0

    def now_and_then(line: str) -> None:
        nonlocal shown_stage, shown_at
        stage, now = line.partition(":")[0], time.monotonic()
        if line and (stage != shown_stage or now - shown_at >= QUIET):
            print(line, file=stream, flush=True)
            shown_stage, shown_at = stage, now

    yield now_and_then
