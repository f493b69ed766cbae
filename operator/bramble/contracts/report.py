"""What devices and jobs report to the gateway, and how the operator reads it back (package contract, §2).

Devices stand in living rooms, and jobs run anybody's code. So every number, text and list in a report is bounded here; none can make the
gateway or a pass of the operator fail.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.bounds import Entries, Finite, Line, Name, Several, Whole
from bramble.contracts.counters import Cohort, Counters

REPORT_SECONDS = 5
"""How often a device reports."""

MAX_REPORT_BYTES = 1024 * 1024
"""A longer report is refused."""

MAX_RUNNING = 64
"""How many models one device serves, and how many a report has."""

MAX_COUNTERS = 256
"""How many packages, cohorts and attempts a report has counters of."""

MEMORY_TICK_MS = 450_000
"""A sample of memory stands for so many milliseconds of uptime: an eighth of an hour."""

MAX_MEMORY_SAMPLES = 32
"""How many samples of memory a report has."""

OFFLINE_SECONDS = 15
"""A device that has not reported for longer than this counts as offline."""


LOST_SECONDS = 2 * OFFLINE_SECONDS
"""A node that is silent for longer than this counts as lost. One missed report may be the fault of the network."""

DISK_RESERVE_BYTES = 64 * 2**20
"""A device begins a download only if so much of its disk stays free afterwards; `BRAMBLE_DISK_RESERVE` of the agent changes that."""


class CandidateState(ExtensibleDocument):
    """How far the trial of a candidate has come on this device."""

    package: Digest
    state: Literal["downloading", "trying", "serving", "refused", "abandoned"]
    """`refused`: the package failed on this device. `abandoned`: the device lost contact or rebooted during the trial."""
    message: Line = ""


class Running(ExtensibleDocument):
    """What the device runs for one assignment."""

    fleet: Name
    namespace: Name
    model: Name
    rollout_uid: Name
    attempt: Whole
    seq: Whole
    """The highest seq of an assignment that this device has accepted."""
    active: Digest | None = None
    """The package that answers requests now. Its files were hashed again and its golden cases passed."""
    cohort: Cohort = "stable"
    serving_since_ms: Whole | None = None
    """What `uptime_ms` was when `active` began to answer in this cohort and attempt. None where nothing serves, and from older agents."""
    candidate: CandidateState | None = None
    last_good: Digest | None = None
    """The package that the device goes back to when the active one cannot be served."""
    bad: Annotated[Several[Digest], Field(max_length=64)] = ()
    """Packages that the device has refused."""
    message: Line = ""
    """Why the device cannot serve what it should; empty where it can."""


class Health(ExtensibleDocument):
    """The state of the board; None where the board does not report a figure."""

    free_bytes: Whole | None = None
    memory_bytes: Whole | None = None
    peak_memory_bytes: Whole | None = None
    temperature_celsius: Finite | None = None
    throttled: bool | None = None


class BoardFacts(ExtensibleDocument):
    """What a board is; None where the board does not report a figure."""

    machine: Line
    cpu: Line
    cores: Whole
    memory_bytes: Whole
    page_size: Whole
    kernel: Line
    temperature_celsius: Finite | None = None
    throttled: bool | None = None


class LeftOut(ExtensibleDocument):
    """How much of the device's state does not fit into a report."""

    running: Whole = 0
    """Models beyond `MAX_RUNNING`."""
    counters: Whole = 0
    """Counters of packages, cohorts and attempts. Those that serve now come first into a report, then the newest of each model."""
    confusions: Whole = 0
    """Confusions of counters that are in the report."""


MemorySample = tuple[Whole, Whole]
"""Uptime in milliseconds at which a tick of `MEMORY_TICK_MS` began, and the fewest bytes in it."""


class Report(ExtensibleDocument):
    """The whole state of one device. The newest report by (boot id, instance, sequence) is the node's state."""

    schema_: Literal["bramble.dev/report/v1"] = Field("bramble.dev/report/v1", alias="schema")
    node: Name
    fleet: Name
    board: Name
    boot_id: Name
    instance: Name
    """New for each process of the agent."""
    uptime_ms: Whole
    """How long the agent's process has run, on its monotonic clock."""
    sequence: Whole
    running: Annotated[Several[Running], Field(max_length=MAX_RUNNING)] = ()
    counters: Annotated[Several[Counters], Field(max_length=MAX_COUNTERS)] = ()
    left_out: LeftOut = LeftOut()
    health: Health = Health()
    memory: Annotated[Several[MemorySample], Field(max_length=MAX_MEMORY_SAMPLES)] = ()
    """The memory of the agent's process that no file backs, in RAM and in swap, over its uptime, oldest first. That process serves all
    models. The older, the sparser: of the last 1, 2, 4, … 64 hours there are eight at even distances. Empty from older agents."""
    facts: BoardFacts | None = None
    """What the board is. The operator sets the node's labels from it."""


class SeenReport(ExtensibleDocument):
    """A report as a gateway replica holds it."""

    age_seconds: float
    """How long ago the report arrived, on that replica's monotonic clock."""
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
    """What a job reports while it runs. `metrics` are for information only; gates read the evaluation."""

    object: ObjectRef
    step: str
    attempt: Whole
    epoch: Whole = 0
    epochs: Whole = 0
    eta_seconds: Finite | None = None
    metrics: Annotated[Entries[float], AfterValidator(_finite)] = Field(default_factory=dict)
    """Metrics that are NaN or infinite are left out, because JSON cannot carry them. The rest of the progress is still of use."""
    device: Line = ""
    """What the job computes on, such as `cpu`, `cpu (simulated gpu)` or `cuda: NVIDIA H200`."""
    world_size: Whole = 1
    first_step_at: Name | None = None
    """When the first optimiser step of this attempt was made, in RFC 3339."""
    message: Line = ""


class SeenProgress(ExtensibleDocument):
    """A job's latest progress as a gateway replica holds it."""

    age_seconds: float
    progress: Progress


class Observed(ExtensibleDocument):
    """The answer to `GET /v1/observed`: all that one replica of the gateway knows."""

    replica: str
    up_seconds: float
    """How long the replica has run. A replica younger than `OFFLINE_SECONDS` does not prove that a device is silent."""
    cursor: str = ""
    """When it is given back as `after`, the answer holds only what this replica has heard since. What it heard before is still true."""
    more: bool = False
    """Whether the answer was cut at the limit that the request names; the rest comes after `cursor`."""
    reports: tuple[SeenReport, ...] = ()
    progress: tuple[SeenProgress, ...] = ()
