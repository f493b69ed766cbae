"""The step that makes and validates the variants of a model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bramble.contracts.base import Digest, Document, ExtensibleDocument
from bramble.contracts.jobs.base import Job, Result
from bramble.contracts.runtimes import FLOAT32, RUNTIMES, FormatName, PrecisionName


class VariantSpec(Document):
    """A form that the model is wanted in."""

    name: str
    format: FormatName = RUNTIMES[0].format
    precision: PrecisionName = FLOAT32.name
    calibration_samples: int = 200


class ConvertJob(Job):
    """Make and validate every variant of a model."""

    step: Literal["convert"] = "convert"
    package: Digest
    """The fp32 package as training exported it."""
    manifest: Digest
    model: str
    version: str
    variants: tuple[VariantSpec, ...]
    max_drop: dict[str, str] = Field(default_factory=dict)


class VariantOutcome(ExtensibleDocument):
    """One variant made and validated; `package` is None when it could not be made."""

    name: str
    package: Digest | None = None
    bytes: int = 0
    compression: float = 1.0
    """Bytes of the fp32 graph by bytes of this one."""
    metrics: dict[str, float] = Field(default_factory=dict)
    drop: dict[str, float] = Field(default_factory=dict)
    passed: bool
    reason: str = ""


class ConvertResult(Result):
    """Every variant asked for, in that order."""

    step: Literal["convert"] = "convert"
    variants: tuple[VariantOutcome, ...]
