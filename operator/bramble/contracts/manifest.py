"""A frozen dataset: a small header named by its digest, and its samples as JSON lines in a blob of their own."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, SerializerFunctionWrapHandler, model_serializer

from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.tasks.base import Annotation
from bramble.contracts.tasks.catalogue import TaskName

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class Sample(ExtensibleDocument):
    """One line of `samples.jsonl`. `id` is the digest of the picture; source keys are never kept."""

    id: Digest
    bytes: int
    extension: str
    """Of the file as it is laid out for a trainer: `.png`."""
    split: Split
    annotation: SerializeAsAny[Annotation]
    """Of the manifest's task. On the wire its fields stand beside the sample's own: `"label": "cat"`."""
    group: Digest
    """Samples of one group (recording, near-duplicates) never stand in two splits."""
    weight: float = 1.0
    origin: str
    """The name of the source that it came from."""
    meta: dict[str, str] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _beside(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        return {**document.pop("annotation"), **document}


def read_sample(line: str | bytes, annotation: type[Annotation]) -> Sample:
    """A sample from its line of `samples.jsonl`, with the annotation of the manifest's task.

    Raises:
        ValueError: the line is not JSON, or not such a sample.
    """
    document: dict[str, Any] = json.loads(line)
    names = [field.alias or name for name, field in annotation.model_fields.items()]
    truth = {name: document.pop(name) for name in names if name in document}
    return Sample.model_validate({**document, "annotation": annotation.model_validate(truth)})


class Shard(ExtensibleDocument):
    """A tar of many small samples of one split, so that a fetch reads few objects; members are named `<hex><extension>`."""

    split: Split
    sha256: Digest
    bytes: int
    count: int


class Manifest(ExtensibleDocument):
    """The header. Its digest is the dataset's version."""

    schema_: Literal["bramble.dev/manifest/v1"] = Field("bramble.dev/manifest/v1", alias="schema")
    task: TaskName
    classes: tuple[str, ...]
    seed: int
    samples: Digest
    """Of `samples.jsonl`: one canonical `Sample` a line, in order of id."""
    samples_bytes: int
    counts: dict[Split, dict[str, int]]
    """Split to class to number of samples that show it."""
    shards: tuple[Shard, ...] = ()
