"""How long to wait after failures in a row."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.5
DOUBLINGS = 16
"""More change nothing, and 2 to the power of a night's failures is no float any more."""


def wait_seconds(failures: int, longest: float) -> float:
    """Doubled with every failure up to `longest`, drawn between half of it and all of it, so that devices do not come all at once."""
    return min(longest, FIRST_SECONDS * 2.0 ** min(failures, DOUBLINGS)) * random.uniform(0.5, 1.0)  # noqa: S311  (guards nothing)
