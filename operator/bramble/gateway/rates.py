"""Bounds on how much one caller, and all pods of one namespace, may ask of the gateway, which all namespaces share.

Each bound is a token bucket: what is not used is saved up to a burst, and a call beyond it is refused with the time after which it may be
repeated. Blobs are not counted here: `Blobs` bounds how many are sent at the same time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from bramble.gateway.bounded import drop_oldest
from bramble.gateway.identity import Caller
from bramble.gateway.refusals import Throttled

KEPT = 20_000
"""How many callers are remembered. The one that called longest ago is forgotten first; by then its bucket is full again."""


class Rate(NamedTuple):
    """So many a second, and so many at once after a pause."""

    a_second: float
    burst: float


CALLER_CALLS = Rate(10, 100)
"""Calls of one device or pod. A device reports every 5 s, and at most 10 times a second while things change."""

NAMESPACE_CALLS = Rate(200, 2_000)
"""Calls of all pods of one namespace of jobs. A pod reports its progress once a second."""

CALLER_BYTES = Rate(64 * 1024, 2 * 1024 * 1024)
"""Bytes of bodies of one device or pod. A report of 64 models, each with two versions, has 120 KiB, and up to 192 KiB of counts by class,
every 5 s. An agent sends no report of more than 512 KiB, which it may repeat every 8 s. A KiB of a report costs about 25 µs, and up to
60 µs of a wrong one. So a device that sends as much as it may takes less than 2 ms of each second (`benchmarks/gateway_reports.py`), and
one that means harm less than 4 ms."""


class Allowance:
    """Token buckets of one rate, by key."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, amount: float) -> float:
        """Take so much out of the bucket. Returns 0, or, if there is not enough, the seconds until there is. Then nothing is taken."""
        now = self._clock()
        left, since = self._left.pop(key, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - since) * self._rate.a_second)
        missing = amount - left
        self._left[key] = (left if missing > 0 else -missing, now)
        drop_oldest(self._left, KEPT)
        return max(0.0, missing) / self._rate.a_second


class Rates:
    """The bounds of all callers. The operator has none.

    Args:
        shared_namespace: the namespace of the agents, in which each device counts for itself only.
    """

    def __init__(self, shared_namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared_namespace = shared_namespace
        self._calls = Allowance(CALLER_CALLS, clock)
        self._of_namespace = Allowance(NAMESPACE_CALLS, clock)
        self._bytes = Allowance(CALLER_BYTES, clock)

    def call(self, caller: Caller) -> None:
        """Count a call.

        Raises:
            Throttled: the caller, or its namespace, has made too many.
        """
        self._check(self._calls, _name(caller), 1, f"{_name(caller)} makes more than {CALLER_CALLS.a_second:g} calls a second")
        if caller.namespace != self._shared_namespace:
            many = f"the pods of namespace {caller.namespace} make more than {NAMESPACE_CALLS.a_second:g} calls a second"
            self._check(self._of_namespace, caller.namespace, 1, many)

    def body(self, caller: Caller, size: int) -> None:
        """Count a body of so many bytes.

        Raises:
            Throttled: the caller has sent too much.
        """
        self._check(self._bytes, _name(caller), size, f"{_name(caller)} sends more than {CALLER_BYTES.a_second:g} bytes a second")

    def _check(self, allowance: Allowance, key: str, amount: float, problem: str) -> None:
        if wait := allowance.take(key, amount):
            raise Throttled(f"{problem}; wait {wait:.1f} s", retry_seconds=wait)


def _name(caller: Caller) -> str:
    """What a caller is counted by: the pod, which on a device there is one of."""
    return f"{caller.name}/{caller.pod}" if caller.pod else caller.name
