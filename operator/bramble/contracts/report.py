"""What a device says every five seconds, and how the operator reads it back (package contract, §2)."""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal

from pydantic import Field

from bramble.contracts.base import Digest, Document

LATENCY_BOUNDS_MS: tuple[float, ...] = tuple(0.1 * 2 ** (k / 8) for k in range(137))
"""Upper bounds in milliseconds; one bucket more, the last, counts what is slower than all. The same on every node, so
that histograms add up."""

REPORT_SECONDS = 5
OFFLINE_SECONDS = 15

Cohort = Literal["stable", "candidate"]


class Latency(Document):
    """A histogram of request durations: one count a bound of `LATENCY_BOUNDS_MS`, and the overflow."""

    buckets: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS_MS) + 1)
    sum_ms: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.buckets)

    def slower_than(self, milliseconds: float) -> int:
        """Requests slower than a threshold, which rounds up to the next bound."""
        return sum(self.buckets[bisect_left(LATENCY_BOUNDS_MS, milliseconds) + 1 :])

    def quantile(self, q: float) -> float | None:
        """The bound in milliseconds below which at least the share `q` of requests lies; None without requests."""
        rank, seen = q * self.count, 0
        for bound, count in zip((*LATENCY_BOUNDS_MS, float("inf")), self.buckets, strict=True):
            seen += count
            if count and seen >= rank:
                return bound
        return None

    def __add__(self, other: Latency) -> Latency:
        return Latency(buckets=tuple(a + b for a, b in zip(self.buckets, other.buckets, strict=True)), sum_ms=self.sum_ms + other.sum_ms)

    def __sub__(self, earlier: Latency) -> Latency:
        return Latency(
            buckets=tuple(max(0, a - b) for a, b in zip(self.buckets, earlier.buckets, strict=True)),
            sum_ms=max(0.0, self.sum_ms - earlier.sum_ms),
        )


class Counters(Document):
    """Cumulative since the agent's process began, for one package in one cohort of one attempt."""

    namespace: str
    model: str
    package: Digest
    cohort: Cohort
    attempt: int
    requests: int = 0
    errors: int = 0
    right: int = 0
    wrong: int = 0
    crashes: int = 0
    """Deaths of the agent while it served this package, counted on disk and so not reset by a restart."""
    latency: Latency = Latency()


class CandidateState(Document):
    """How far the trial of a candidate has come on this device."""

    package: Digest
    state: Literal["downloading", "trying", "serving", "refused"]
    message: str = ""


class Running(Document):
    """What the device runs for one assignment."""

    fleet: str
    namespace: str
    model: str
    rollout_uid: str
    attempt: int
    seq: int
    """The highest this device has accepted."""
    active: Digest | None = None
    """Re-hashed, loaded, golden cases passed, and answering now."""
    cohort: Cohort = "stable"
    candidate: CandidateState | None = None
    last_good: Digest | None = None
    bad: tuple[Digest, ...] = ()
    message: str = ""


class Health(Document):
    """Of the board; None where it does not report a figure."""

    free_bytes: int | None = None
    memory_bytes: int | None = None
    peak_memory_bytes: int | None = None
    temperature_celsius: float | None = None
    throttled: bool | None = None


class BoardFacts(Document):
    """What a board is; None where it does not report a figure."""

    machine: str
    cpu: str
    cores: int
    memory_bytes: int
    page_size: int
    kernel: str
    temperature_celsius: float | None = None
    throttled: bool | None = None


class Report(Document):
    """One device's whole state; the newest by (boot id, instance, sequence) stands for the node."""

    schema_: Literal["bramble.dev/report/v1"] = Field("bramble.dev/report/v1", alias="schema")
    node: str
    fleet: str
    board: str
    boot_id: str
    instance: str
    """New for each process of the agent."""
    uptime_ms: int
    """Of the agent's process, on its monotonic clock."""
    sequence: int
    running: tuple[Running, ...] = ()
    counters: tuple[Counters, ...] = ()
    health: Health = Health()
    facts: BoardFacts | None = None
    """What the board is: the operator labels the node by it."""


class SeenReport(Document):
    """A report as a gateway replica holds it."""

    age_seconds: float
    """Since it arrived, on that replica's monotonic clock."""
    report: Report


class ObjectRef(Document):
    """One custom resource."""

    kind: str
    namespace: str
    name: str
    uid: str


class Progress(Document):
    """What a job says of itself while it runs. `metrics` are information: gates read the evaluation alone."""

    object: ObjectRef
    step: str
    attempt: int
    epoch: int = 0
    epochs: int = 0
    eta_seconds: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    device: str = ""
    """`cpu`, `cpu (simulated gpu)`, `cuda: NVIDIA H200`."""
    world_size: int = 1
    first_step_at: str | None = None
    """RFC 3339, of the first optimiser step of this attempt."""
    message: str = ""


class SeenProgress(Document):
    """A job's latest progress as a gateway replica holds it."""

    age_seconds: float
    progress: Progress


class Observed(Document):
    """`GET /v1/observed`: all that one gateway replica knows."""

    replica: str
    up_seconds: float
    """A replica younger than `OFFLINE_SECONDS` proves no silence."""
    cursor: str = ""
    """Given back as `after`, it asks for what this replica has heard since. What was heard before it stays true and only ages."""
    reports: tuple[SeenReport, ...] = ()
    progress: tuple[SeenProgress, ...] = ()
