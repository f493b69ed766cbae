"""What a plan for a Dataset looks at."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.api.dataset import Spec, Status
from bramble.api.objects import Invalid, Object
from bramble.contracts.jobs.base import Gateway
from bramble.kinds.jobs.attempts import Spent
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.step import Owner
from bramble.kinds.sources import StoreProblem
from bramble.kube.resources import Manifest

SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A Dataset as it stands.

    Attributes:
        dataset: parsed; its status is memory and the last thing said.
        snapshot: the attempt that memory names, None before the first.
        store: why the namespace's store cannot be used; looked at only when a Job would be made.
        children: every Job and ConfigMap of this Dataset.
        image: that snapshots run in.
        gateway, gateway_ca: what jobs reach the gateway by.
    """

    dataset: Object[Spec, Status]
    snapshot: StepSeen | None = None
    store: StoreProblem | None = None
    children: tuple[Manifest, ...] = ()
    image: str
    gateway: Gateway | None = None
    gateway_ca: str = ""

    @property
    def owner(self) -> Owner:
        return Owner(*self.dataset.metadata.key, self.dataset.metadata.uid)

    @property
    def spent(self) -> Spent:
        return Spent(failures=self.dataset.status.failures, disruptions=self.dataset.status.disruptions)

    @property
    def is_recorded(self) -> bool:
        """Whether the attempt that memory names has given the present version."""
        status = self.dataset.status
        return bool(status.versions) and status.versions[0].attempt == status.attempt


Seen = Observed | Invalid[Status]
