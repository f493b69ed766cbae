"""Decides whether a variant may serve on this board, and names the figures that speak against it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bramble.contracts.jobs.benchmark import BenchmarkJob, BenchmarkOutcome, LatencySummary, Limits
from bramble.contracts.tasks.base import TaskContract
from bramble_workloads.benchmark.measure import Measured
from bramble_workloads.evaluate.drop import drop_of, missed

MEBIBYTE = 2**20


def outcome(job: BenchmarkJob, package: str, measured: Mapping[str, Measured], task: TaskContract, *, whole: bool) -> BenchmarkOutcome:
    """The figures and the verdict of one variant.

    A drop is the difference from the metrics of the reference package. They are those that this board measured on the same samples. Where
    it did not measure the reference, they are the job's `reference_metrics`, which the conversion measured. The reference itself is
    compared with `reference_metrics` only when all test samples took part: on a part of them its score differs by chance.

    Args:
        job: the job, with limits and reference.
        package: the digest of the variant's package.
        measured: the measurements of every package, by digest.
        task: the task of the packages.
        whole: whether all samples of the test split took part.
    """
    own = measured[package]
    found = own.metrics
    here = measured[job.reference].metrics if job.reference in measured and package != job.reference else {}
    reference = here or job.reference_metrics
    judged = package != job.reference or whole
    why = reasons(own, job.limits)
    if found and judged:
        why += missed(reference, found, job.max_drop, task)
    return BenchmarkOutcome(
        package=package,
        golden=own.golden,
        golden_message="" if own.golden else own.message,
        latency=own.latency,
        metrics=dict(found),
        drop=drop_of(reference, found, task) if judged else {},
        peak_memory_bytes=own.peak_memory_bytes,
        passed=not why,
        reasons=tuple(why),
    )


def reasons(measured: Measured, limits: Limits) -> list[str]:
    """A sentence with the figures for each limit that is missed.

    A figure that equals the limit is allowed. A limit on something that could not be measured is missed.
    """
    if not measured.golden or measured.latency is None:
        return [measured.message or "the measurement did not finish"]
    found = [*_slow(measured.latency, limits)]
    if limits.memory_bytes is not None:
        peak = measured.peak_memory_bytes
        allowed = f"{limits.memory_bytes / MEBIBYTE:.1f} MiB"
        if peak is None:
            found.append(f"the peak memory could not be read, and the limit is {allowed}")
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
