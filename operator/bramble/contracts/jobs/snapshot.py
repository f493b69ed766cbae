"""The step that freezes a Dataset."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bramble.contracts.base import Digest, Document, ExtensibleDocument
from bramble.contracts.jobs.base import Job, Result
from bramble.contracts.tasks.catalogue import TaskName


class Source(Document):
    """Raw pictures in the store, below the namespace's prefix."""

    name: str
    prefix: str
    format: Literal["image-folder"] = "image-folder"


class Splits(Document):
    """Ratios sum to 1 within 1e-6."""

    train: float
    val: float
    test: float
    stratify_by: tuple[str, ...] = ()
    group_by: str | None = None
    seed: int = 0


class Checks(Document):
    """What the data must be for training to begin."""

    min_samples_per_class: int | None = None
    max_imbalance: str | None = None
    duplicates: Literal["drop", "keep", "fail"] = "drop"
    class_pattern: str | None = None


class SnapshotJob(Job):
    """Freeze a Dataset."""

    step: Literal["snapshot"] = "snapshot"
    task: TaskName
    sources: tuple[Source, ...]
    splits: Splits
    checks: Checks
    previous: Digest | None = None
    """The manifest before: its groups keep their splits."""


class Finding(ExtensibleDocument):
    """Something a check of the data found."""

    check: str
    severity: Literal["error", "warning", "info"]
    message: str
    samples: tuple[str, ...] = ()
    """Source keys or ids, at most 20; the rest are in the file at `findings_key`."""
    count: int = 0


class SnapshotResult(Result):
    """`passed` is False when a finding of severity error blocks training."""

    step: Literal["snapshot"] = "snapshot"
    manifest: Digest
    counts: dict[str, dict[str, int]]
    """Split to class to number of samples that show it."""
    splits: dict[str, int] = Field(default_factory=dict)
    """Split to number of samples. Results of version 0.1 lack it."""
    classes: tuple[str, ...]
    samples: int
    bytes: int
    passed: bool
    findings: tuple[Finding, ...] = ()
    findings_key: str = ""
