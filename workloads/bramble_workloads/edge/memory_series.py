"""The memory of the agent's process over its uptime, in few samples."""

from __future__ import annotations

from bramble.contracts.report import MEMORY_TICK_MS, MemorySample

KEPT = 8
"""Samples of each scale."""

COARSEST = 64
"""Ticks between two samples of the coarsest scale, a power of two: the series reaches back 64 hours."""


class MemorySeries:
    """The least memory in each tick of 7.5 minutes, the older the sparser.

    Pictures that are decoded and requests that wait need memory for a moment; the least of a tick is what stays. Ticks are numbered from
    the start of the process. Of the ticks that 2^k divides, the last `KEPT` are kept, for 2^k up to `COARSEST`. So at any moment the series
    has eight samples at even distances of the last 1, 2, 4, … 64 hours, and 32 in all.
    """

    def __init__(self) -> None:
        self._least: dict[int, int] = {}

    def add(self, uptime_ms: int, bytes_: int | None) -> None:
        """Take a reading; None where the kernel does not tell."""
        if bytes_ is None:
            return
        now = uptime_ms // MEMORY_TICK_MS
        before = self._least.get(now)
        self._least[now] = bytes_ if before is None else min(before, bytes_)
        if before is None:
            self._least = {tick: least for tick, least in self._least.items() if now - tick <= KEPT * _distance(tick)}

    def samples(self, uptime_ms: int) -> tuple[MemorySample, ...]:
        """The ticks that have ended, oldest first."""
        now = uptime_ms // MEMORY_TICK_MS
        return tuple((tick * MEMORY_TICK_MS, least) for tick, least in sorted(self._least.items()) if tick < now)


def _distance(tick: int) -> int:
    """The largest power of two that divides the tick, up to `COARSEST`."""
    return min(tick & -tick, COARSEST) if tick else COARSEST
