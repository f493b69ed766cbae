"""What every job is told, and what every result says (design, §4).

The operator writes `job.json` into an immutable ConfigMap per attempt; the job writes `result.json` to the store, last.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bramble.contracts.base import Document, ExtensibleDocument
from bramble.contracts.canonical import document_digest
from bramble.contracts.report import ObjectRef

TOKEN_AUDIENCE = "bramble-gateway"


class Gateway(Document):
    """Where jobs post progress and results."""

    url: str


class Job(Document):
    """What every step is told."""

    schema_: Literal["bramble.dev/job/v1"] = Field("bramble.dev/job/v1", alias="schema")
    object: ObjectRef
    attempt: int
    prefix: str
    """The run prefix (`bramble.contracts.store.run_prefix`): the only folder, beside blobs, that this attempt writes."""
    gateway: Gateway | None = None


IDENTITY_FREE = ("object", "attempt", "prefix", "gateway", "engineSettings", "resumeFrom")


def inputs_digest(job: Job, image: str) -> str:
    """What a result depends on: the job without who asks and where it writes, and the image that runs it."""
    document = job.model_dump(mode="json", by_alias=True, exclude_none=True)
    return document_digest({"image": image, "job": {key: value for key, value in document.items() if key not in IDENTITY_FREE}})


class Result(ExtensibleDocument):
    """What every step gives."""

    schema_: Literal["bramble.dev/result/v1"] = Field("bramble.dev/result/v1", alias="schema")
    seconds: float
    image: str = ""
