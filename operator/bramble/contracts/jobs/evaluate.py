"""The step that scores an exported package on a frozen split."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bramble.contracts.base import Digest, Document, ExtensibleDocument
from bramble.contracts.jobs.base import Job, Result


class Gate(Document):
    """`metric` is at least `min`; of one class with `label`, of one slice value with `slice` (`column=value`)."""

    metric: Literal["accuracy", "precision", "recall", "f1"]
    min: str
    label: str | None = None
    slice: str | None = None


class EvaluateJob(Job):
    """Score an exported package on a frozen split."""

    step: Literal["evaluate"] = "evaluate"
    package: Digest
    manifest: Digest
    split: Literal["val", "test"] = "test"
    slices: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()


class Scores(ExtensibleDocument):
    """Precision, recall and F1 are macro means in `Part.overall` and of one class in `Part.per_class`."""

    samples: int
    accuracy: float
    precision: float
    recall: float
    f1: float


class Part(ExtensibleDocument):
    """Scores on some of the samples."""

    overall: Scores
    per_class: dict[str, Scores]
    """Of the classes that have a sample."""
    confusion: tuple[tuple[int, ...], ...]
    """Rows are true classes, columns predicted ones, both in the package's order of labels."""


class GateOutcome(ExtensibleDocument):
    """`value` is None when the split has no sample the gate is about: then it does not pass."""

    gate: Gate
    value: float | None = None
    passed: bool


class EvaluateResult(Result, Part):
    """Scores on the frozen split."""

    step: Literal["evaluate"] = "evaluate"
    labels: tuple[str, ...]
    slices: dict[str, dict[str, Part]] = Field(default_factory=dict)
    """Column to value to the same of its samples."""
    gates: tuple[GateOutcome, ...] = ()
