"""The step that trains: one attempt."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bramble.contracts.base import Digest, Document, removed_fields
from bramble.contracts.bounds import Entries, Several
from bramble.contracts.jobs.base import Job, Result
from bramble.contracts.tasks.catalogue import AnyBuiltinTrainer


class ContainerTrainer(Document):
    """A training program of the user's; its image is in the pod's template."""

    command: Several[str]
    args: Several[str] = ()

    _removed = removed_fields("dataFormat")


class TrainJob(Job):
    """One attempt at a training: a fixed number of nodes, without restarts inside."""

    step: Literal["train"] = "train"
    manifest: Digest
    builtin: AnyBuiltinTrainer | None = None
    container: ContainerTrainer | None = None
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    nodes: int = Field(ge=1)
    processes_per_node: int = Field(1, ge=1)
    engine: str = "torchrun"
    """The name of the engine whose folder in the launcher starts the ranks."""
    engine_settings: Entries[str | int] = Field(default_factory=dict)
    """What the launchers of an attempt need to find each other, such as the address of the first pod. Only that folder understands them."""
    gpus_per_node: int = 0
    cpu_allowed: bool = True
    """False where GPUs were asked for and the node is not labelled as simulated: then a node without CUDA is a spec error."""
    seed: int = 0
    resume_from: Several[str] = ()
    """Checkpoint prefixes of earlier attempts, newest attempt first."""
    model: str
    version: str
    lineage: dict[str, Any] = Field(default_factory=dict)

    _removed = removed_fields("master", "masterPort")


class PackageResult(Result):
    """The package as exported, before any variant is made of it."""

    package: Digest
    weights: Digest | None = None
    output: Digest | None = None
    """The listing (`TrainingOutput`) of what the training program left."""
    metrics: Entries[float] = Field(default_factory=dict)
    """As the training program reports them. Gates never read them."""
    epochs: int
    device: str
    world_size: int


class TrainResult(PackageResult):
    """The package that an attempt has trained."""

    step: Literal["train"] = "train"
