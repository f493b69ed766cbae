"""Turns SIGTERM into an exception, but only where somebody is ready to catch it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType


class Sigterm:
    """A context manager whose body SIGTERM ends by an exception, also if it arrived before the body began.

    The exception is raised once, by the body or by entering and leaving the context, so the code around the `with` statement catches it.
    Outside of the body, and after that exception, the signal changes nothing: what a process does to report its end is not cut off.
    """

    def __init__(self, make_error: Callable[[], BaseException]) -> None:
        """From now on SIGTERM no longer ends this process."""
        self._make_error = make_error
        self._asked = self._raises = False
        self._before = signal.signal(signal.SIGTERM, self._note)

    def restore(self) -> None:
        """Let SIGTERM do what it did before."""
        signal.signal(signal.SIGTERM, self._before)

    def __enter__(self) -> None:
        self._raises = True
        if self._asked:
            self._raise()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._raises = False

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        if self._raises:
            self._raise()

    def _raise(self) -> None:
        self._raises = False
        raise self._make_error()
