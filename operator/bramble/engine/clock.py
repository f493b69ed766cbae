"""The two clocks: one for durations that also counts a suspended machine's sleep, one for what people read."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def boottime() -> float:
    """Seconds since boot, sleep included: a leader that was suspended must notice that its Lease has passed."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def utcnow() -> datetime:
    """For conditions and plans; durations are never computed from it."""
    return datetime.now(UTC)
