"""What the plan for a Dataset decides by."""

from __future__ import annotations

from dataclasses import dataclass, field

from bramble.api.dataset import Spec, Status
from bramble.api.jobs import JobDefaults
from bramble.api.objects import Invalid, Object, StepAttempts
from bramble.contracts.jobs.base import Gateway
from bramble.kinds.blockers import Blocker
from bramble.kinds.jobs.attempts import is_exhausted
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.outlived import Outlived
from bramble.kinds.jobs.stale_children import Child
from bramble.kinds.jobs.state import COUNTS_AS
from bramble.kinds.jobs.step import Owner

SNAPSHOT = "snapshot"
"""The name of a Dataset's one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A Dataset, and what was read about it.

    Attributes:
        dataset: the object; its status is the memory, and what was last reported.
        snapshot: the present attempt; None before the first one, and where it is not needed.
        store: why the namespace's store cannot be used. It is only asked while an attempt is under way.
        stale_children: Jobs and ConfigMaps of attempts that are over.
        outlived: Jobs that go on although their attempt is over.
        image: the image of snapshot Jobs.
        job_defaults: what the administrator adds to all Jobs.
        gateway, gateway_ca: how Jobs reach the gateway, and the CA of its certificate (PEM).
    """

    dataset: Object[Spec, Status]
    snapshot: StepSeen | None = None
    store: Blocker | None = None
    stale_children: tuple[Child, ...] = ()
    outlived: tuple[Outlived, ...] = ()
    image: str
    gateway: Gateway | None = None
    gateway_ca: str = ""
    job_defaults: JobDefaults = field(default_factory=JobDefaults)

    @property
    def owner(self) -> Owner:
        """The Dataset as its children name it."""
        return Owner(*self.dataset.metadata.key, self.dataset.metadata.uid)

    @property
    def attempts(self) -> StepAttempts:
        """The attempts at the snapshot, which this kind keeps as fields of its status."""
        status = self.dataset.status
        return StepAttempts(attempt=status.attempt, failures=status.failures, disruptions=status.disruptions)

    @property
    def is_recorded(self) -> bool:
        """Whether the result of the present attempt has been recorded."""
        status = self.dataset.status
        return bool(status.versions) and status.versions[0].attempt == status.attempt

    @property
    def is_given_up(self) -> bool:
        """Whether the present attempt has failed and no other may follow."""
        cause = self.dataset.status.first_cause
        return cause is not None and is_exhausted(self.attempts, COUNTS_AS[cause.kind])


Seen = Observed | Invalid[Status]
