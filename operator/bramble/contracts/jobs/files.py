"""Parsing of `job.json` and `result.json`. The field `step` decides which model a document has."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from bramble.contracts.base import UnknownFields
from bramble.contracts.jobs.benchmark import BenchmarkJob, BenchmarkResult
from bramble.contracts.jobs.convert import ConvertJob, ConvertResult
from bramble.contracts.jobs.evaluate import EvaluateJob, EvaluateResult
from bramble.contracts.jobs.package import PackagingJob, PackagingResult
from bramble.contracts.jobs.snapshot import SnapshotJob, SnapshotResult
from bramble.contracts.jobs.train import TrainJob, TrainResult
from bramble.contracts.store import LARGEST_DOCUMENT
from bramble.contracts.untrusted import parse_untrusted

AnyJob = Annotated[SnapshotJob | TrainJob | PackagingJob | EvaluateJob | ConvertJob | BenchmarkJob, Field(discriminator="step")]


class JobFile(BaseModel):
    """Parses a `job.json` into the job of its step."""

    job: AnyJob

    @classmethod
    def parse(cls, content: bytes, unknown_fields: UnknownFields = "forbid") -> AnyJob:
        """Parse a job.

        Args:
            content: of the file.
            unknown_fields: the step that carries the job out forbids them, because each may change what it must do. The gateway
                ignores them, because it only reads whose job it is and which blobs it names.

        Raises:
            pydantic.ValidationError: the content is not a job of this release.
        """
        return parse_untrusted(cls, b'{"job":' + content + b"}", LARGEST_DOCUMENT + 32, extra=unknown_fields).job


AnyResult = Annotated[
    SnapshotResult | TrainResult | PackagingResult | EvaluateResult | ConvertResult | BenchmarkResult, Field(discriminator="step")
]


class ResultFile(BaseModel):
    """Parses a `result.json` into the result of its step."""

    result: AnyResult

    @classmethod
    def parse(cls, content: bytes) -> AnyResult:
        """Parse a result. Unknown fields are ignored in all its parts, also in those that a job shares with it.

        Raises:
            pydantic.ValidationError: the content is not a result of this release.
        """
        return parse_untrusted(cls, b'{"result":' + content + b"}", LARGEST_DOCUMENT + 32, extra="ignore").result
