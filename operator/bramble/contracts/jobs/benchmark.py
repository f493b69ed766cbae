"""The documents of the step `benchmark`, which measures variants on one board."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bramble.contracts.base import Digest, Document, ExtensibleDocument
from bramble.contracts.bounds import Entries, Several
from bramble.contracts.jobs.base import Job, Result
from bramble.contracts.report import BoardFacts


class Limits(Document):
    """The largest allowed figures: latency of one prediction in milliseconds, and memory. None: no limit."""

    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    mean_ms: float | None = None
    memory_bytes: int | None = None


class BenchmarkJob(Job):
    """Measure every variant on one board. The step reads blobs and files its result through the gateway, because a board has no Secret."""

    step: Literal["benchmark"] = "benchmark"
    board: str
    fleet: str
    packages: Several[Digest]
    """The packages to measure."""
    reference: Digest
    """The float32 package that drops are counted from. It need not be one of `packages`."""
    reference_metrics: Entries[float] = Field(default_factory=dict)
    """Metrics of the reference on the whole test split, for where the board does not measure the reference itself."""
    manifest: Digest
    """The dataset whose test split is used."""
    iterations: int = 1000
    """Timed predictions."""
    warmup: int = 50
    """Predictions before the timed ones."""
    samples: int = 200
    """Test samples that are scored, at most."""
    limits: Limits = Limits()
    max_drop: Entries[str] = Field(default_factory=dict)
    """The largest allowed drop by metric, as decimal strings."""


class LatencySummary(ExtensibleDocument):
    """Latency of one prediction, in milliseconds."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    iterations: int


class BenchmarkOutcome(ExtensibleDocument):
    """The measurements of one variant on one board."""

    package: Digest
    golden: bool
    """Whether every golden case passed; if not, nothing else was measured."""
    golden_message: str = ""
    """The golden case that failed, and how."""
    latency: LatencySummary | None = None
    metrics: Entries[float] = Field(default_factory=dict)
    drop: Entries[float] = Field(default_factory=dict)
    """By how much each metric is worse than the reference's."""
    peak_memory_bytes: int | None = None
    """Peak resident memory of the process while two copies of the model are loaded."""
    passed: bool
    reasons: Several[str] = ()
    """A sentence for each limit that is missed."""


class BenchmarkResult(Result):
    """The outcome of every package of the job, in that order."""

    step: Literal["benchmark"] = "benchmark"
    board: str
    node: str
    """The node that measured."""
    facts: BoardFacts
    outcomes: Several[BenchmarkOutcome]
