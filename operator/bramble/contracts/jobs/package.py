"""The step that makes a package of a kept output, without training."""

from __future__ import annotations

from typing import Literal

from bramble.contracts.base import Digest
from bramble.contracts.jobs.base import Job
from bramble.contracts.jobs.train import PackageResult
from bramble.contracts.package import ModelDescription


class PackagingJob(Job):
    """Packages what a training program left."""

    step: Literal["package"] = "package"
    output: Digest
    """The listing (`TrainingOutput`)."""
    graph: str | None = None
    """The kept file to take as the float32 graph; None for `model.onnx`."""
    description: ModelDescription | None = None
    """Replaces the output's `package.json`; None to read that."""
    model: str
    version: str


class PackagingResult(PackageResult):
    """The package, with the figures of the training that left the output."""

    step: Literal["package"] = "package"
