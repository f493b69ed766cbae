"""Measures one package in this process: `python -m bramble_workloads.benchmark.measure`.

Reads one line of JSON (`Order`) from standard input and writes one (`Measured`) to standard output.

A timed prediction is what a device does for a request: decode a real picture, preprocess it, run the graph, and decode the answer. The peak
memory is the highest resident memory of this process, read while two copies of the model are loaded, as during a swap on a device.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from pydantic import Field

from bramble.contracts.base import Digest, Document
from bramble.contracts.jobs.benchmark import LatencySummary

PICTURES = 64
"""How many different samples take part in the timing."""


class Order(Document):
    """What to measure, and where its files are."""

    package: Digest
    blobs: str
    """The folder of blobs."""
    samples: tuple[tuple[str, dict[str, Any]], ...]
    """Path and annotation of each sample."""
    warmup: int
    iterations: int


class Measured(Document):
    """The measurements. After a failed golden case or a fault there are no further figures."""

    golden: bool
    """Whether every golden case passed."""
    message: str = ""
    """Why the measurement ended early."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """The task's metrics on the samples."""
    latency: LatencySummary | None = None
    peak_memory_bytes: int | None = None


def main() -> int:
    """Measure what standard input asks for."""
    order = Order.model_validate_json(sys.stdin.buffer.readline())
    sys.stdout.buffer.write(measure(order).model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n")
    sys.stdout.buffer.flush()
    return 0


def measure(order: Order) -> Measured:
    """Check the golden cases, score the samples, time predictions, and load a second copy of the model."""
    from bramble_workloads.device.blobs import Blobs
    from bramble_workloads.device.loading import load
    from bramble_workloads.device.memory import status_bytes
    from bramble_workloads.processing.errors import DescriptionError, InputError, ModelFault
    from bramble_workloads.tasks.catalogue import task_of

    blobs = Blobs(Path(order.blobs))
    try:
        model = load(blobs, order.package).model
    except (DescriptionError, ModelFault) as error:
        return Measured(golden=False, message=str(error))
    try:
        task = task_of(model.description.task)
        scorer = task.scorer(model.description)
        for path, annotation in order.samples:
            scorer.add(task.contract.annotation.model_validate(annotation), model.predict(Path(path).read_bytes()).answer)
        contents = [Path(path).read_bytes() for path, _ in order.samples[:PICTURES]]
        milliseconds: list[float] = []
        for number, content in enumerate(islice(cycle(contents), order.warmup + order.iterations)):
            began = time.perf_counter()
            model.predict(content)
            if number >= order.warmup:
                milliseconds.append((time.perf_counter() - began) * 1000)
        second = load(blobs, order.package).model
        second.predict(contents[0])
        model.predict(contents[0])
    except (InputError, ModelFault) as error:
        return Measured(golden=True, message=str(error))
    metrics = scorer.scores().overall.metrics
    return Measured(golden=True, metrics=metrics, latency=summary(milliseconds), peak_memory_bytes=status_bytes("VmHWM"))


def summary(milliseconds: Sequence[float]) -> LatencySummary:
    """The mean, and percentiles by nearest rank: the p99 of 1,000 values is the 990th smallest."""
    ordered = sorted(milliseconds)

    def percentile(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 4)

    mean = round(sum(ordered) / len(ordered), 4)
    return LatencySummary(mean_ms=mean, p50_ms=percentile(0.5), p95_ms=percentile(0.95), p99_ms=percentile(0.99), iterations=len(ordered))


if __name__ == "__main__":
    sys.exit(main())
