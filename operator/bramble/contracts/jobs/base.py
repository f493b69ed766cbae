"""What the jobs of all steps have in common, and what their results have in common.

The operator writes `job.json` into an immutable ConfigMap for each attempt. The job writes `result.json` to the store as its last object.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bramble.contracts.base import Document, ExtensibleDocument
from bramble.contracts.canonical import document_digest
from bramble.contracts.report import ObjectRef

TOKEN_AUDIENCE = "bramble-gateway"
"""The audience of the projected tokens with which pods call the gateway."""


class Gateway(Document):
    """Where a job posts progress and results."""

    url: str


class Job(Document):
    """What a step has to do."""

    schema_: Literal["bramble.dev/job/v1"] = Field("bramble.dev/job/v1", alias="schema")
    object: ObjectRef
    attempt: int
    prefix: str
    """The run prefix (`bramble.contracts.store.run_prefix`). Beside blobs, the attempt writes only below it."""
    gateway: Gateway | None = None


NOT_INPUTS = ("object", "attempt", "prefix", "gateway", "engineSettings", "resumeFrom")
"""Fields that say who asks, where the result goes and how the work is done. The result does not depend on them."""


def inputs_digest(job: Job, image: str) -> str:
    """The digest of all that a result depends on: the fields of the job that are inputs, and the image that runs it."""
    document = job.model_dump(mode="json", by_alias=True, exclude_none=True)
    return document_digest({"image": image, "job": {key: value for key, value in document.items() if key not in NOT_INPUTS}})


class Result(ExtensibleDocument):
    """What a step has produced."""

    schema_: Literal["bramble.dev/result/v1"] = Field("bramble.dev/result/v1", alias="schema")
    seconds: float
    image: str = ""
