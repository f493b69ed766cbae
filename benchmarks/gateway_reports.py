"""What a device's report costs the gateway: CPU time to parse, check and keep it, and how much of a second one device can take.

The reports have counters of so many lines: a model with a candidate has two. The last is the largest that the gateway takes. Others have
their turn while it is parsed: `longest_turn` is for how long it holds the event loop at once. Prints JSON; exits 1 if that, or a report of
64 lines, or a second of the most that a device may send, costs more than the goal.

Usage: python benchmarks/gateway_reports.py
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import time
from unittest.mock import patch

from bramble.contracts.counters import BUCKETS, MAX_COUNT, MAX_COUNTS, PREDICT, Counters, Histogram
from bramble.contracts.report import Report
from bramble.gateway.large_reports import AT_ONCE_BYTES, encode_report, parse_report
from bramble.gateway.rates import CALLER_BYTES
from bramble.gateway.reports import ReceivedReports

GOAL_MS = 2.0
RUNS = 40
LINES = (2, 8, 64)
LARGEST_LINES = 256
DIGEST = "sha256:" + "a" * 64


def counters(attempt: int, *, largest: bool) -> Counters:
    """A line: requests that took a few milliseconds, or as many different durations and counts as there can be."""
    durations = [MAX_COUNT // BUCKETS if largest else 10_000 * (20 <= bucket < 40) for bucket in range(BUCKETS)]
    names = [f"count_{number}" for number in range(MAX_COUNTS)] if largest else ["requests", "errors", "right", "wrong", "crashes"]
    return Counters(
        namespace="ads",
        model="ad-detector",
        package=DIGEST,
        cohort="stable",
        attempt=attempt,
        counts=dict.fromkeys(names, 1_000_000),
        histograms={PREDICT: Histogram(buckets=tuple(durations), sum_ms=1e6)},
    )


def report(lines: int, *, largest: bool = False) -> bytes:
    """A report as a device sends it."""
    sent = tuple(counters(number, largest=largest) for number in range(lines))
    identity = {"node": "pi-1", "fleet": "demo", "board": "rpi5", "boot_id": "b", "instance": "i", "uptime_ms": 1, "sequence": 1}
    return Report(**identity, counters=sent).model_dump_json(by_alias=True).encode()  # type: ignore[arg-type]


async def take(content: bytes, turns: list[float]) -> None:
    """Take a report in. `turns` gets the CPU time of each turn, in seconds."""
    received, began = ReceivedReports("gateway-0"), time.process_time()
    sleep = asyncio.sleep

    async def others(_: float) -> None:
        nonlocal began
        turns.append(time.process_time() - began)
        await sleep(0)
        began = time.process_time()

    with patch("asyncio.sleep", others):
        report = await parse_report(content)
        received.add_report(report, await encode_report(report, in_turns=len(content) > AT_ONCE_BYTES))
    turns.append(time.process_time() - began)


def cost_ms(content: bytes) -> tuple[float, float]:
    """CPU time to take a report in, and of its longest turn, the best of some runs, in milliseconds."""
    runs = []
    for _ in range(RUNS):
        turns: list[float] = []
        asyncio.run(take(content, turns))
        runs.append(turns)
    return min(map(sum, runs)) * 1000, min(map(max, runs)) * 1000


def main() -> int:
    largest = report(LARGEST_LINES, largest=True)
    costs = {str(lines): round(cost_ms(report(lines))[0], 2) for lines in LINES}
    most, longest_turn = cost_ms(largest)
    a_second = most * CALLER_BYTES.a_second / len(largest)
    found = {
        "what": "milliseconds of CPU time of a report at the gateway, by its lines of counters",
        **costs,
        "largest": round(most, 2),
        "longest_turn": round(longest_turn, 2),
        "largest_bytes": len(largest),
        "most_of_a_second": round(a_second, 2),
        "goal_ms": GOAL_MS,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}",
    }
    print(json.dumps(found, indent=2))
    return 0 if max(a_second, longest_turn, *costs.values()) <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
