"""A frozen dataset: a small header, whose digest is the version, and a blob with one JSON line for each sample."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, SerializerFunctionWrapHandler, TypeAdapter, model_serializer

from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.bounds import Entries, FirstFaults, Several
from bramble.contracts.tasks.base import Annotation
from bramble.contracts.tasks.catalogue import TaskName

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class Sample(ExtensibleDocument):
    """One line of `samples.jsonl`. `id` is the digest of the picture. The key in the source is not kept."""

    id: Digest
    bytes: int
    extension: str
    """The extension of the file that a trainer gets, such as `.png`."""
    split: Split
    annotation: SerializeAsAny[Annotation]
    """The annotation of the manifest's task. In JSON, its fields stand beside those of the sample: `"label": "cat"`."""
    group: Digest
    """Samples of one group, such as a recording or near-duplicates, are never in two splits."""
    weight: float = 1.0
    origin: str
    """The name of its source."""
    meta: Entries[str] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _beside(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        return {**document.pop("annotation"), **document}


def read_sample(line: str | bytes, annotation: type[Annotation]) -> Sample:
    """Parse a line of `samples.jsonl`, with the annotation of the manifest's task.

    Raises:
        ValueError: the line is not JSON, is nested too deeply, or is not such a sample.
    """
    document = OBJECT.validate_json(line)
    names = [field.alias or name for name, field in annotation.model_fields.items()]
    truth = {name: document.pop(name) for name in names if name in document}
    return Sample.model_validate({**document, "annotation": annotation.model_validate(truth)})


class Departed(ExtensibleDocument):
    """One line of `departed.jsonl`: a sample of an earlier version that is not in this one. If it comes back, it is in the same split."""

    id: Digest
    split: Split
    group: Digest


class Shard(ExtensibleDocument):
    """A tar archive with small pictures of one split, so that a fetch reads few objects. Members are named `<hex digits of the
    id><extension>`.
    """

    split: Split
    sha256: Digest
    bytes: int
    count: int


class Manifest(ExtensibleDocument):
    """The header of a frozen dataset. Its digest is the version."""

    schema_: Literal["bramble.dev/manifest/v1"] = Field("bramble.dev/manifest/v1", alias="schema")
    task: TaskName
    classes: Several[str]
    seed: int
    samples: Digest
    """The digest of `samples.jsonl`, which has one canonical `Sample` in each line, ordered by id."""
    samples_bytes: int
    counts: Annotated[dict[Split, Entries[int]], FirstFaults()]
    """For each split and class, the number of samples that show the class."""
    slices: Entries[Entries[int] | None] | None = None
    """For each column of the `meta` of the test split, the number of its samples with each value. A sample without the column has the empty
    value. None for a column with too many values to list, and as a whole where there are too many columns. Headers of earlier releases lack
    it."""
    shards: Several[Shard] = ()
    departed: Digest | None = None
    """The digest of `departed.jsonl`, ordered by id; None if every sample of every earlier version is in this one."""
