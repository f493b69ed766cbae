"""A step of an object's work: who asks, what is asked, and how its attempts are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bramble.api.labels import ATTEMPT, STEP, child_name, owner_labels
from bramble.contracts.jobs.files import AnyJob
from bramble.contracts.report import ObjectRef
from bramble.contracts.store import run_prefix
from bramble.kube.resources import Manifest, key_of

STEP_DEADLINE_SECONDS = 6 * 3600
"""Longest that one attempt at a plain step may take; a million pictures are frozen in well under it."""


class Owner(NamedTuple):
    """The custom resource that a step works for."""

    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, manifest: Manifest) -> Owner:
        """The owner that this object, as read from the API server, is."""
        return cls(*key_of(manifest), manifest["metadata"]["uid"])

    @property
    def ref(self) -> ObjectRef:
        """The same as jobs and the gateway are told."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name, uid=self.uid)

    def prefix(self, step: str, attempt: int) -> str:
        """The folder of the store that one attempt writes to."""
        return run_prefix(self.kind, self.namespace, self.name, self.uid, step, attempt)

    def job_name(self, step: str, attempt: int) -> str:
        """Of the Job and of its ConfigMap: the same however often it is asked for."""
        return child_name(self.name, step, str(attempt))

    def labels(self, step: str, attempt: int) -> dict[str, str]:
        """Of the Job, its ConfigMap and its pods."""
        return {**owner_labels(self.kind, self.name, self.uid), STEP: step, ATTEMPT: str(attempt)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a step's container asks for, as Kubernetes quantities."""

    cpu: str = "250m"
    memory: str = "256Mi"
    memory_limit: str = "2Gi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One attempt at a step that needs a single pod.

    Attributes:
        owner: the object, in whose namespace the Job runs.
        job: what `job.json` says; its `step` and `attempt` are this step's.
        image: `reference@sha256:…`.
        name: the step within the object where the object has several of the kind (`benchmark-rpi5`); else `job.step`.
        store: whether the pod mounts the namespace's store Secret. False on boards.
        gateway_ca: PEM that the gateway's certificate is signed by (`Sources.gateway_ca`); empty: none is mounted.
        deadline_seconds: of the attempt, from its start.
    """

    owner: Owner
    job: AnyJob
    image: str
    name: str = ""
    store: bool = True
    gateway_ca: str = ""
    deadline_seconds: int = STEP_DEADLINE_SECONDS
    resources: Resources = Resources()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()

    @property
    def step(self) -> str:
        return self.name or self.job.step

    @property
    def job_name(self) -> str:
        return self.owner.job_name(self.step, self.job.attempt)

    @property
    def labels(self) -> dict[str, str]:
        return self.owner.labels(self.step, self.job.attempt)
