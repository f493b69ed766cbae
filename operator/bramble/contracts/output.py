"""What a training program left in `$BRAMBLE_OUT`, as the store keeps it: one listing document, and a blob for each file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.bounds import Entries, Finite, Line, Several, Whole
from bramble.contracts.canonical import canonical_json
from bramble.contracts.package import Lineage
from bramble.contracts.report import ObjectRef
from bramble.contracts.store import LARGEST_DOCUMENT
from bramble.contracts.untrusted import parse_untrusted

MOST_FILES = 1000
LONGEST_NAME = 200
MOST_BYTES = 8 * 1024**3
"""Of all kept files of one attempt together."""
MOST_NAMED = 20
"""How many files that were left out are named; the others are counted."""


def is_kept_name(name: str) -> bool:
    """Whether a file of this name can be kept: a path below `$BRAMBLE_OUT` of plain components, without control characters."""
    parts = name.split("/")
    return len(name) <= LONGEST_NAME and name.isprintable() and not any(part in ("", ".", "..") for part in parts)


def _kept_name(name: str) -> str:
    if not is_kept_name(name):
        raise ValueError(f"must be a path below $BRAMBLE_OUT of at most {LONGEST_NAME} printable characters, without . and ..")
    return name


FileName = Annotated[str, AfterValidator(_kept_name)]


class OutputFile(ExtensibleDocument):
    """A kept file. Its content is the blob `sha256`."""

    name: FileName
    """The path below `$BRAMBLE_OUT`. It only names the file: no reader uses it as a path."""
    sha256: Digest
    bytes: Whole


class LeftOut(ExtensibleDocument):
    """A file that was not kept."""

    name: Line
    reason: Line


class TrainingOutput(ExtensibleDocument):
    """The listing. With it the output can be packaged again without training, so it also holds what the package needs of the training."""

    schema_: Literal["bramble.dev/training-output/v1"] = Field("bramble.dev/training-output/v1", alias="schema")
    object: ObjectRef
    """The TrainingRun that trained."""
    attempt: Whole
    problem: Line = ""
    """Why no package was made of the output; empty if one was made."""
    files: Annotated[Several[OutputFile], Field(max_length=MOST_FILES)] = ()
    left_out: Annotated[Several[LeftOut], Field(max_length=MOST_NAMED)] = ()
    """The first files that were not kept."""
    left_out_count: Whole = 0
    """How many files were not kept."""
    seconds: Finite = 0.0
    epochs: Whole = 0
    device: Line = ""
    world_size: Whole = 1
    metrics: Entries[Finite] = Field(default_factory=dict)
    """As the training program reports them. Gates never read them."""
    lineage: Lineage = Lineage()

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a listing. Unknown fields are ignored in all its parts, also in the lineage, which packages share.

        Raises:
            pydantic.ValidationError: the content is not a listing of this release.
        """
        return parse_untrusted(cls, content, LARGEST_DOCUMENT, extra="ignore")

    def encode(self) -> bytes:
        """The canonical bytes, whose digest identifies the output."""
        return canonical_json(self)

    @property
    def total_bytes(self) -> int:
        """The sizes of all kept files together."""
        return sum(file.bytes for file in self.files)


UNITS = ("bytes", "KiB", "MiB", "GiB")


def describe_output(files: int, total_bytes: int, left_out: int) -> str:
    """What is kept, for messages, such as `3 files, 1.2 MiB; 1 file was left out`."""
    size, unit = float(total_bytes), 0
    while size >= 1024 and unit < len(UNITS) - 1:  # noqa: PLR2004  the step between two units
        size, unit = size / 1024, unit + 1
    number = f"{size:.0f}" if unit == 0 else f"{size:.1f}"
    missing = f"; {left_out} file{' was' if left_out == 1 else 's were'} left out" if left_out else ""
    return f"{files} file{'' if files == 1 else 's'}, {number} {UNITS[unit]}{missing}"
