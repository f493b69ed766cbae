"""The clock for durations."""

from __future__ import annotations

import time


def boottime() -> float:
    """Seconds since boot, including suspended time: a leader that was suspended must notice that its Lease has expired."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
