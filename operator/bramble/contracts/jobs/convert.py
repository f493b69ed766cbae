"""The documents of the step `convert`, which makes and validates the variants of a model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bramble.contracts.base import Digest, Document, ExtensibleDocument
from bramble.contracts.bounds import Entries, Several
from bramble.contracts.jobs.base import Job, Result
from bramble.contracts.runtimes import FLOAT32, RUNTIMES, FormatName, PrecisionName


class VariantSpec(Document):
    """A variant to make: a graph for one runtime, in one precision."""

    name: str
    format: FormatName = RUNTIMES[0].format
    precision: PrecisionName = FLOAT32.name
    calibration_samples: int = 200
    """How many samples of the train split choose the ranges of a quantised graph's numbers; other precisions ignore it."""


class ConvertJob(Job):
    """Make and validate every variant of a model."""

    step: Literal["convert"] = "convert"
    package: Digest
    """The package that training made. Its `files` hold every exported form that converters start from."""
    manifest: Digest
    """The dataset that calibrates and validates."""
    model: str
    version: str
    variants: Several[VariantSpec]
    max_drop: Entries[str] = Field(default_factory=dict)
    """The largest allowed drop by metric, as decimal strings."""
    choice_seconds: int = 5400
    """How long ways to make a graph may be tried, for all variants together. For each variant at least one is tried."""


class Trial(ExtensibleDocument):
    """One way to make a graph, such as a method of calibration, and how many samples of the validation split it answered right."""

    name: str
    right: int = 0
    of: int = 0
    """The number of samples; 0 if the graph could not be made."""
    reason: str = ""
    """Why it could not be made."""


class VariantOutcome(ExtensibleDocument):
    """One variant, made and validated."""

    name: str
    package: Digest | None = None
    """None when the variant could not be made."""
    bytes: int = 0
    """The size of its graph."""
    compression: float = 1.0
    """The size of the exported graph divided by the size of this one."""
    metrics: Entries[float] = Field(default_factory=dict)
    """The task's metrics on the test split."""
    drop: Entries[float] = Field(default_factory=dict)
    """By how much each metric is worse than the exported graph's."""
    taken: str = ""
    """The name of the trial whose graph was taken; empty if there was only one way to make the graph."""
    tried: Several[Trial] = ()
    untried: Several[str] = ()
    """The names of the ways that were not tried, because `choiceSeconds` were over."""
    passed: bool
    reason: str = ""
    """Why it could not be made, or which limits its drops exceed."""


class ConvertResult(Result):
    """The outcome of every variant of the job, in that order."""

    step: Literal["convert"] = "convert"
    variants: Several[VariantOutcome]
