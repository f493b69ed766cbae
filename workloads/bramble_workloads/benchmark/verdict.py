"""Whether a variant may serve on this board, and if not, by which figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bramble.contracts.jobs.benchmark import LatencySummary, Limits
from bramble_workloads.benchmark.measure import Measured

MEBIBYTE = 2**20


def reasons(measured: Measured, limits: Limits) -> list[str]:
    """A sentence with the figures for each limit that is missed; a figure of exactly the limit is allowed.

    A limit on what could not be measured is missed: what was not shown does not pass.
    """
    if not measured.golden or measured.latency is None:
        return [measured.message or "it was not measured to the end"]
    found = [*_slow(measured.latency, limits)]
    if limits.memory_bytes is not None:
        peak = measured.peak_memory_bytes
        allowed = f"{limits.memory_bytes / MEBIBYTE:.1f} MiB"
        if peak is None:
            found.append(f"the peak memory could not be read; {allowed} is the limit")
        elif peak > limits.memory_bytes:
            found.append(f"memory {peak / MEBIBYTE:.1f} MiB with two copies loaded is more than the limit of {allowed}")
    return found


def _slow(latency: LatencySummary, limits: Limits) -> list[str]:
    pairs: Mapping[str, tuple[float, float | None]] = {
        "mean": (latency.mean_ms, limits.mean_ms),
        "p50": (latency.p50_ms, limits.p50_ms),
        "p95": (latency.p95_ms, limits.p95_ms),
        "p99": (latency.p99_ms, limits.p99_ms),
    }
    return [
        f"{name} {found:.2f} ms is more than the limit of {limit:g} ms"
        for name, (found, limit) in pairs.items()
        if limit is not None and found > limit
    ]
