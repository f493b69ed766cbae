"""What a device says every five seconds, and how the operator reads it back (package contract, §2).

Devices stand in living rooms and jobs are anybody's code: every number, text and list of theirs is bounded here, so that none can make
the gateway or a pass of the operator fail.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bramble.contracts.base import Digest, Document

LATENCY_BOUNDS_MS: tuple[float, ...] = tuple(0.1 * 2 ** (k / 8) for k in range(137))
"""Upper bounds in milliseconds; one bucket more, the last, counts what is slower than all. The same on every node, so
that histograms add up."""

REPORT_SECONDS = 5
OFFLINE_SECONDS = 15

Cohort = Literal["stable", "candidate"]

Whole = Annotated[int, Field(ge=0, lt=2**53)]
"""A number that JSON carries exactly (RFC 8785)."""

MOST_COUNTED = 2**38 - 1
"""Events that one process counts at most, eight years of 1,000 a second: the sums over 32,768 devices are still `Whole`."""
Count = Annotated[int, Field(ge=0, le=MOST_COUNTED)]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=253)]
Line = Annotated[str, AfterValidator(lambda text: text[:1024])]
"""A text for people, cut at 1,024 characters rather than refused: a device in trouble must be heard."""

BUCKETS = len(LATENCY_BOUNDS_MS) + 1


class Latency(Document):
    """A histogram of request durations: one count a bound of `LATENCY_BOUNDS_MS`, and the overflow."""

    buckets: Annotated[tuple[Whole, ...], Field(min_length=BUCKETS, max_length=BUCKETS)] = (0,) * BUCKETS
    sum_ms: Annotated[Finite, Field(ge=0)] = 0.0

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


def _counted(latency: Latency) -> Latency:
    if latency.count > MOST_COUNTED or latency.sum_ms >= 2**53:
        raise ValueError(f"counts {latency.count} requests in {latency.sum_ms:g} ms, more than one process can have answered")
    return latency


class Counters(Document):
    """Cumulative since the agent's process began, for one package in one cohort of one attempt."""

    namespace: Name
    model: Name
    package: Digest
    cohort: Cohort
    attempt: Whole
    requests: Count = 0
    errors: Count = 0
    right: Count = 0
    wrong: Count = 0
    crashes: Count = 0
    """Deaths of the agent while it served this package, counted on disk and so not reset by a restart."""
    latency: Annotated[Latency, AfterValidator(_counted)] = Latency()


class CandidateState(Document):
    """How far the trial of a candidate has come on this device."""

    package: Digest
    state: Literal["downloading", "trying", "serving", "refused", "abandoned"]
    """`refused`: the package failed here. `abandoned`: its trial ended by lost contact or a reboot."""
    message: Line = ""


class Running(Document):
    """What the device runs for one assignment."""

    fleet: Name
    namespace: Name
    model: Name
    rollout_uid: Name
    attempt: Whole
    seq: Whole
    """The highest this device has accepted."""
    active: Digest | None = None
    """Re-hashed, loaded, golden cases passed, and answering now."""
    cohort: Cohort = "stable"
    candidate: CandidateState | None = None
    last_good: Digest | None = None
    bad: Annotated[tuple[Digest, ...], Field(max_length=64)] = ()
    message: Line = ""


class Health(Document):
    """Of the board; None where it does not report a figure."""

    free_bytes: Whole | None = None
    memory_bytes: Whole | None = None
    peak_memory_bytes: Whole | None = None
    temperature_celsius: Finite | None = None
    throttled: bool | None = None


class BoardFacts(Document):
    """What a board is; None where it does not report a figure."""

    machine: Line
    cpu: Line
    cores: Whole
    memory_bytes: Whole
    page_size: Whole
    kernel: Line
    temperature_celsius: Finite | None = None
    throttled: bool | None = None


class Report(Document):
    """One device's whole state; the newest by (boot id, instance, sequence) stands for the node."""

    schema_: Literal["bramble.dev/report/v1"] = Field("bramble.dev/report/v1", alias="schema")
    node: Name
    fleet: Name
    board: Name
    boot_id: Name
    instance: Name
    """New for each process of the agent."""
    uptime_ms: Whole
    """Of the agent's process, on its monotonic clock."""
    sequence: Whole
    running: Annotated[tuple[Running, ...], Field(max_length=64)] = ()
    counters: Annotated[tuple[Counters, ...], Field(max_length=256)] = ()
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


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


class Progress(Document):
    """What a job says of itself while it runs. `metrics` are information: gates read the evaluation alone."""

    object: ObjectRef
    step: str
    attempt: Whole
    epoch: Whole = 0
    epochs: Whole = 0
    eta_seconds: Finite | None = None
    metrics: Annotated[dict[str, float], AfterValidator(_finite)] = Field(default_factory=dict)
    """Without those that are no number, which JSON cannot carry: a loss of NaN is no reason to lose the epoch."""
    device: Line = ""
    """`cpu`, `cpu (simulated gpu)`, `cuda: NVIDIA H200`."""
    world_size: Whole = 1
    first_step_at: Name | None = None
    """RFC 3339, of the first optimiser step of this attempt."""
    message: Line = ""


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
