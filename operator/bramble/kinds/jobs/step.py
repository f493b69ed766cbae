"""A step of an object's work: the object, the document of its Job, and the names of its attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bramble.api.jobs import Resources
from bramble.api.labels import ATTEMPT, STEP, child_name, owner_labels
from bramble.contracts.jobs.files import AnyJob
from bramble.contracts.report import ObjectRef
from bramble.contracts.store import run_prefix
from bramble.kinds.jobs.additions import Additions

STEP_DEADLINE_SECONDS = 6 * 3600
"""How long one attempt at a step may run. Freezing a million pictures takes well under this."""


class Owner(NamedTuple):
    """The custom resource that a step belongs to."""

    kind: str
    namespace: str
    name: str
    uid: str

    @property
    def ref(self) -> ObjectRef:
        """The same, as jobs and the gateway name it."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name, uid=self.uid)

    def prefix(self, step: str, attempt: int) -> str:
        """The prefix of the keys that one attempt writes in the store."""
        return run_prefix(self.kind, self.namespace, self.name, self.uid, step, attempt)

    def job_name(self, step: str, attempt: int) -> str:
        """The name of an attempt's Job and of its ConfigMap."""
        return child_name(self.name, step, str(attempt))

    def labels(self, step: str, attempt: int) -> dict[str, str]:
        """The labels of an attempt's Job, ConfigMap and pods."""
        return {**owner_labels(self.kind, self.name, self.uid), STEP: step, ATTEMPT: str(attempt)}


STEP_RESOURCES = Resources(requests={"cpu": "250m", "memory": "256Mi"}, limits={"memory": "2Gi"})
"""Of the container of a step, unless the chart or the object sets others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One attempt at a step that runs in a single pod.

    Attributes:
        owner: the object, in whose namespace the Job runs.
        job: the content of `job.json`, with the kind of step and the attempt.
        image: the container image, as `reference@sha256:…`.
        name: the name of the step, if the object has several of one kind (`benchmark-rpi5`); empty for `job.step`.
        store: whether the pod mounts the Secret of the namespace's store. Pods on boards do not.
        gateway_ca: the CA of the gateway's certificate (`Sources.gateway_ca`); nothing is mounted if it is empty.
        deadline_seconds: how long the attempt may run.
        resources: of the container, unless `additions` has others.
    """

    owner: Owner
    job: AnyJob
    image: str
    name: str = ""
    store: bool = True
    gateway_ca: str = ""
    deadline_seconds: int = STEP_DEADLINE_SECONDS
    resources: Resources = STEP_RESOURCES
    additions: Additions = field(default_factory=Additions)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()

    @property
    def step(self) -> str:
        """The name of the step."""
        return self.name or self.job.step

    @property
    def job_name(self) -> str:
        """The name of the Job and of its ConfigMap."""
        return self.owner.job_name(self.step, self.job.attempt)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the Job, its ConfigMap and its pods."""
        return self.owner.labels(self.step, self.job.attempt)
