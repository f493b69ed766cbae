"""The step that measures variants on one board."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bramble.contracts.base import Digest, Document, ExtensibleDocument
from bramble.contracts.jobs.base import Job, Result
from bramble.contracts.report import BoardFacts


class Limits(Document):
    """Decimal strings with units resolved: milliseconds and bytes."""

    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    mean_ms: float | None = None
    memory_bytes: int | None = None


class BenchmarkJob(Job):
    """Measure every variant on one board. Reads blobs and posts its result through the gateway; holds no Secret."""

    step: Literal["benchmark"] = "benchmark"
    board: str
    fleet: str
    packages: tuple[Digest, ...]
    reference: Digest
    """The fp32 package: accuracy drops are counted from its accuracy in `reference_metrics`."""
    reference_metrics: dict[str, float] = Field(default_factory=dict)
    manifest: Digest
    iterations: int = 1000
    warmup: int = 50
    samples: int = 200
    limits: Limits = Limits()
    max_drop: dict[str, str] = Field(default_factory=dict)


class LatencySummary(ExtensibleDocument):
    """Milliseconds."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    iterations: int


class BenchmarkOutcome(ExtensibleDocument):
    """One variant on one board."""

    package: Digest
    golden: bool
    golden_message: str = ""
    latency: LatencySummary | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    drop: dict[str, float] = Field(default_factory=dict)
    peak_memory_bytes: int | None = None
    """Of the process while two copies of the model are loaded."""
    passed: bool
    reasons: tuple[str, ...] = ()


class BenchmarkResult(Result):
    """Every package asked for, in that order, on one node."""

    step: Literal["benchmark"] = "benchmark"
    board: str
    node: str
    facts: BoardFacts
    outcomes: tuple[BenchmarkOutcome, ...]
