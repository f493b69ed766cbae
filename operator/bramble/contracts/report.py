"""What a device says every five seconds, and how the operator reads it back (package contract, §2).

Devices stand in living rooms and jobs are anybody's code: every number, text and list of theirs is bounded here, so that none can make
the gateway or a pass of the operator fail.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.bounds import Finite, Line, Name, Whole
from bramble.contracts.counters import Cohort, Counters

REPORT_SECONDS = 5
OFFLINE_SECONDS = 15


class CandidateState(ExtensibleDocument):
    """How far the trial of a candidate has come on this device."""

    package: Digest
    state: Literal["downloading", "trying", "serving", "refused", "abandoned"]
    """`refused`: the package failed here. `abandoned`: its trial ended by lost contact or a reboot."""
    message: Line = ""


class Running(ExtensibleDocument):
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


class Health(ExtensibleDocument):
    """Of the board; None where it does not report a figure."""

    free_bytes: Whole | None = None
    memory_bytes: Whole | None = None
    peak_memory_bytes: Whole | None = None
    temperature_celsius: Finite | None = None
    throttled: bool | None = None


class BoardFacts(ExtensibleDocument):
    """What a board is; None where it does not report a figure."""

    machine: Line
    cpu: Line
    cores: Whole
    memory_bytes: Whole
    page_size: Whole
    kernel: Line
    temperature_celsius: Finite | None = None
    throttled: bool | None = None


class Report(ExtensibleDocument):
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


class SeenReport(ExtensibleDocument):
    """A report as a gateway replica holds it."""

    age_seconds: float
    """Since it arrived, on that replica's monotonic clock."""
    report: Report


class ObjectRef(ExtensibleDocument):
    """One custom resource."""

    kind: str
    namespace: str
    name: str
    uid: str


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


class Progress(ExtensibleDocument):
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


class SeenProgress(ExtensibleDocument):
    """A job's latest progress as a gateway replica holds it."""

    age_seconds: float
    progress: Progress


class Observed(ExtensibleDocument):
    """`GET /v1/observed`: all that one gateway replica knows."""

    replica: str
    up_seconds: float
    """A replica younger than `OFFLINE_SECONDS` proves no silence."""
    cursor: str = ""
    """Given back as `after`, it asks for what this replica has heard since. What was heard before it stays true and only ages."""
    reports: tuple[SeenReport, ...] = ()
    progress: tuple[SeenProgress, ...] = ()
