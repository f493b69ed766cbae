"""Exponential backoff with jitter: how long to wait before the next try after consecutive failures."""

from __future__ import annotations

import random

from bramble_workloads.device.errors import GatewayUnavailable

FIRST_SECONDS = 0.5
MAX_DOUBLINGS = 16
"""Caps the exponent: after a night of failures 2**n would overflow a float."""


def wait_seconds(failures: int, longest: float) -> float:
    """The number of seconds to wait before the next try.

    The delay starts at `FIRST_SECONDS`, doubles with each consecutive failure, and is at most `longest` seconds. The result is drawn at
    random from the upper half of that delay, so that many devices do not call the gateway at the same moment.
    """
    return min(longest, FIRST_SECONDS * 2.0 ** min(failures, MAX_DOUBLINGS)) * random.uniform(0.5, 1.0)  # noqa: S311  (not used for security)


def retry_seconds(error: BaseException) -> float:
    """How long the gateway asks to wait before the next call; 0 where it does not say.

    Up to a quarter more is drawn at random. The gateway draws whole seconds, so many devices may have been told the same.
    """
    wait = error.retry_seconds if isinstance(error, GatewayUnavailable) else 0.0
    return wait * random.uniform(1.0, 1.25)  # noqa: S311  (not used for security)
