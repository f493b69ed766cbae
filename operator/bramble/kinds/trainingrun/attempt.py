"""What is read of the present attempt, whichever engine runs it, and the states it may be in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bramble.contracts.cause import Cause
from bramble.contracts.jobs.train import TrainResult
from bramble.contracts.report import Progress
from bramble.kinds.jobs.gather import Stored
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.jobs.refusal import Containers, step_field

TRAIN = "train"
"""The step, and the container that trains."""

FETCH = "fetch"
"""The init container that fetches what the trainer needs."""

SIDECAR = "sidecar"
"""The container that uploads and reports while the trainer runs."""

CONTAINERS = Containers(
    init=(FETCH, SIDECAR), main=(TRAIN,), fields={TRAIN: "spec.resources", FETCH: step_field(FETCH), SIDECAR: step_field(SIDECAR)}
)
"""The containers of a pod that trains (`engines/base/pod.py`)."""

LOST_AFTER_SECONDS = 30
"""A node whose kubelet has not answered for this long is lost: its pods are given up, and an attempt that still runs ends."""


@dataclass(frozen=True, slots=True)
class AttemptSeen:
    """What was read of the attempt in `status.current`.

    Attributes:
        nodes: how many pods the attempt has.
        job: the object that runs it; None if there is none, or only one of an earlier run of the same name.
        pods: the newest pod of each node rank.
        reported: why ranks failed, as their launchers reported it in the store, by node rank.
        stored: its result, checked against the digest that rank 0's pod reported, if it reported one.
        progress: the last progress that it reported to the gateway.
        warning: why it does not start, as Kubernetes' Events say; empty if they do not, or if it runs.
        begun: the object that is created last exists. Without a `job` it says that the `job` was there and is gone.
    """

    number: int
    nodes: int
    job: Job | None = None
    pods: Mapping[int, Pod] = field(default_factory=dict)
    reported: Mapping[int, Cause] = field(default_factory=dict)
    stored: Stored | None = None
    progress: Progress | None = None
    begun: bool = False
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing of this attempt exists yet."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not every rank runs yet; the message says why and what to do.

    Attributes:
        queued: Kueue holds the attempt back.
        refused: the API server refuses pods of the attempt, for example because of a quota.
        since: since when it waits for something that only Events tell about; None otherwise.
        release_at: when the attempt will be ended, because it holds nodes and cannot train, or waits until its Job's deadline; None if
            neither is so.
    """

    message: str
    queued: bool = False
    refused: bool = False
    since: datetime | None = None
    release_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Training:
    """Every rank runs, or has ended with success.

    Attributes:
        look_at: when a node that does not answer will count as lost; None if all nodes answer.
    """

    look_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """The attempt left a result, and it is verified."""

    result: TrainResult
    content: bytes


@dataclass(frozen=True, slots=True)
class Overran:
    """The attempt used up the run's deadline."""


Stage = Literal["early", "open", "likely", "settled"]
"""How certain the first cause of a failing attempt is.

- `early`: a rank has just ended; the others still get a moment to report.
- `open`: what is known explains nothing, such as a rank that was merely stopped.
- `likely`: it is the best explanation so far and can be shown. A rank that has not reported yet may give a better one.
- `settled`: nothing that could still be reported would change it, or no rank is left to report. The attempt is charged for it.
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """At least one rank of the attempt has failed.

    Attributes:
        cause: the best explanation so far.
        look_at: when to look again if nothing changes before.
    """

    cause: Cause
    stage: Stage
    look_at: datetime


AttemptState = Absent | Waiting | Training | Trained | Overran | Ending
