"""A frozen dataset: a small header named by its digest, and its samples as JSON lines in a blob of their own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bramble.contracts.base import Digest, ExtensibleDocument

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class Sample(ExtensibleDocument):
    """One line of `samples.jsonl`. `id` is the digest of the picture; source keys are never kept."""

    id: Digest
    bytes: int
    extension: str
    """Of the file as it is laid out for a trainer: `.png`."""
    split: Split
    label: str
    group: Digest
    """Samples of one group (recording, near-duplicates) never stand in two splits."""
    weight: float = 1.0
    origin: str
    """The name of the source that it came from."""
    meta: dict[str, str] = Field(default_factory=dict)


class Shard(ExtensibleDocument):
    """A tar of many small samples of one split, so that a fetch reads few objects; members are named `<hex><extension>`."""

    split: Split
    sha256: Digest
    bytes: int
    count: int


class Manifest(ExtensibleDocument):
    """The header. Its digest is the dataset's version."""

    schema_: Literal["bramble.dev/manifest/v1"] = Field("bramble.dev/manifest/v1", alias="schema")
    task: Literal["image-classification"]
    classes: tuple[str, ...]
    seed: int
    samples: Digest
    """Of `samples.jsonl`: one canonical `Sample` a line, in order of id."""
    samples_bytes: int
    counts: dict[Split, dict[str, int]]
    """Split to class to number of samples."""
    shards: tuple[Shard, ...] = ()
