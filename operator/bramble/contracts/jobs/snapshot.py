"""The step that freezes a Dataset."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bramble.contracts.base import Digest, Document, ExtensibleDocument
from bramble.contracts.bounds import Entries, Several
from bramble.contracts.jobs.base import Job, Result
from bramble.contracts.sources.catalogue import FormatName
from bramble.contracts.tasks.catalogue import TaskName


class Source(Document):
    """One source of a Dataset."""

    name: str
    format: FormatName
    prefix: str | None = None
    """The folder with the samples, below the namespace's own prefix; None for a format whose samples are not in a folder of the store."""
    options: dict[str, Any] | None = None
    """The settings of the format. The model of its contract reads them; None for a format without settings."""


class Splits(Document):
    """How samples are divided. The ratios sum to 1 within 1e-6."""

    train: float
    val: float
    test: float
    stratify_by: Several[str] = ()
    group_by: str | None = None
    seed: int = 0


class Checks(Document):
    """What the samples must be like before training may use them."""

    min_samples_per_class: int | None = None
    max_imbalance: str | None = None
    duplicates: Literal["drop", "keep", "separate", "fail"] = "drop"
    class_pattern: str | None = None


class SnapshotJob(Job):
    """Freezes a Dataset."""

    step: Literal["snapshot"] = "snapshot"
    task: TaskName
    sources: Several[Source]
    splits: Splits
    checks: Checks
    previous: Digest | None = None
    """The manifest of the newest version that passed its checks. Samples of it, and of those that it was made after, keep their splits."""


class Finding(ExtensibleDocument):
    """Something that a check of the samples found."""

    check: str
    severity: Literal["error", "warning", "info"]
    message: str
    samples: Several[str] = ()
    """Keys in the source or ids of samples, at most 20. The file at `findings_key` has all of them."""
    count: int = 0


class SnapshotResult(Result):
    """A frozen version. `passed` is False when a finding of severity error blocks training."""

    step: Literal["snapshot"] = "snapshot"
    manifest: Digest
    counts: Entries[Entries[int]]
    """Split to class to number of samples that show it."""
    splits: Entries[int] = Field(default_factory=dict)
    """Split to number of samples. Results of version 0.1 lack it."""
    classes: Several[str]
    samples: int
    bytes: int
    passed: bool
    findings: Several[Finding] = ()
    findings_key: str = ""
