"""Parsing of `job.json` and `result.json`: the step that they name decides what they hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from bramble.contracts.jobs.benchmark import BenchmarkJob, BenchmarkResult
from bramble.contracts.jobs.convert import ConvertJob, ConvertResult
from bramble.contracts.jobs.evaluate import EvaluateJob, EvaluateResult
from bramble.contracts.jobs.snapshot import SnapshotJob, SnapshotResult
from bramble.contracts.jobs.train import TrainJob, TrainResult

AnyJob = Annotated[SnapshotJob | TrainJob | EvaluateJob | ConvertJob | BenchmarkJob, Field(discriminator="step")]


class JobFile(BaseModel):
    """Parses a `job.json` into the job of its step."""

    job: AnyJob

    @classmethod
    def parse(cls, content: bytes) -> AnyJob:
        """Raises pydantic.ValidationError: the file is not a job this code knows."""
        return cls.model_validate_json(b'{"job":' + content + b"}").job


AnyResult = Annotated[SnapshotResult | TrainResult | EvaluateResult | ConvertResult | BenchmarkResult, Field(discriminator="step")]


class ResultFile(BaseModel):
    """Parses a `result.json` into the result of its step."""

    result: AnyResult

    @classmethod
    def parse(cls, content: bytes) -> AnyResult:
        """Raises pydantic.ValidationError: the file is not a result this code knows."""
        return cls.model_validate_json(b'{"result":' + content + b"}").result
