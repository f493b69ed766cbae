"""Watches a board's temperature and throttling while it measures."""

from __future__ import annotations

import threading
from typing import Self

from bramble.contracts.report import BoardFacts
from bramble_workloads.device import board

SECONDS_BETWEEN_READINGS = 1.0


class Thermometer:
    """Reads temperature and throttling in a thread. Use as a context manager around the measurement."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="thermometer", daemon=True)
        self._temperature: float | None = None
        self._throttled: bool | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def facts(self) -> BoardFacts:
        """The facts of the board, with the highest temperature that was read, and whether it was throttled at any time."""
        return board.facts().model_copy(update={"temperature_celsius": self._temperature, "throttled": self._throttled})

    def _watch(self) -> None:
        while True:
            readings = (board.temperature(), self._temperature)
            self._temperature = max((reading for reading in readings if reading is not None), default=None)
            throttled = board.throttled()
            self._throttled = throttled if self._throttled is None else self._throttled or bool(throttled)
            if self._ended.wait(SECONDS_BETWEEN_READINGS):
                return
