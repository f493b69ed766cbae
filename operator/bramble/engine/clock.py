"""The two clocks of the engine: one for durations, one for the times that people read."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def boottime() -> float:
    """Seconds since boot, including suspended time: a leader that was suspended must notice that its Lease has expired."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def utcnow() -> datetime:
    """The wall-clock time for conditions and plans. Durations are never computed from it, because it can be set back."""
    return datetime.now(UTC)
