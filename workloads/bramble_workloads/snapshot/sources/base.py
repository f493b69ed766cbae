"""The interface of a reader of sources, and its results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from bramble.contracts.jobs.snapshot import Finding, Source
from bramble.contracts.sources.base import SourceContract, SourceOptions
from bramble.contracts.tasks.base import Annotation
from bramble.objectstore.bucket import Entry
from bramble_workloads.errors import SpecError
from bramble_workloads.snapshot.columns import Rows, Texts
from bramble_workloads.store import Store


class Entries:
    """A growing table of objects of the store. It holds columns, and makes an `Entry` when a row is read."""

    def __init__(self) -> None:
        self._keys = Texts()
        self._sizes = array("q")
        self._etags = Texts()

    def append(self, entry: Entry) -> None:
        self._keys.append(entry.key)
        self._sizes.append(entry.size)
        self._etags.append(entry.etag)

    def by_key(self) -> list[int]:
        """All rows, sorted by key."""
        return sorted(range(len(self)), key=self._keys.__getitem__)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, row: int) -> Entry:
        return Entry(self._keys[row], self._sizes[row], self._etags[row])

    def __iter__(self) -> Iterator[Entry]:
        return map(self.__getitem__, range(len(self)))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that may become a sample. A reader whose pictures are not objects of the store subclasses it.

    Attributes:
        origin: the name of the source.
        entry: the object in the store.
        annotation: the annotation that the source states for the picture.
        meta: the columns of the sample.
    """

    origin: str
    entry: Entry
    annotation: Annotation
    meta: dict[str, str]

    @property
    def key(self) -> str:
        """The address at which a person finds the picture, for findings."""
        return self.entry.key

    def content(self, store: Store) -> bytes:
        """The bytes of the picture.

        Raises:
            TryAgain: it has been deleted since it was listed.
        """
        return store.get_listed(self.entry)

    def freeze(self, store: Store, content: bytes, digest: str) -> None:
        """Make a blob of the content that was just read."""
        store.copy_blob(self.entry, content, digest)


@dataclass(frozen=True, slots=True)
class Listing:
    """The content of a source: its candidates in a fixed order, and findings about files that cannot become samples."""

    candidates: Rows[Candidate]
    """A tuple, or for many pictures a table that makes each candidate when it is asked for."""
    findings: tuple[Finding, ...] = ()


class SourceReader(ABC):
    """Reads sources of one format.

    Attributes:
        contract: the contract of the format.
    """

    contract: SourceContract

    @abstractmethod
    def read(self, store: Store, source: Source, annotation: type[Annotation]) -> Listing:
        """List the candidates of a source, without reading the pictures.

        Args:
            store: the store of the namespace.
            source: the source to read. `options_of` returns its settings.
            annotation: the annotation model of the dataset's task. `annotate` creates an instance.

        Raises:
            BadData: the source has no picture, or a file that describes the pictures cannot be understood.
            SpecError: the settings are not those of the format, or the format does not state the annotation that the task needs.
            TryAgain: a file that describes the pictures was deleted after it had been listed.
        """

    def options_of(self, source: Source) -> SourceOptions | None:
        """The settings of a source, with defaults; None for a format without settings."""
        model = self.contract.options
        try:
            return model.model_validate(source.options or {}) if model is not None else None
        except ValidationError as error:
            raise SpecError(f"source {source.name}: {self.contract.field}: {error.errors()[0]['msg']}") from error

    def annotate(self, source: Source, annotation: type[Annotation], **stated: Any) -> Annotation:
        """Create an annotation of the task from the values that the source states for a picture, such as `label="cat"`."""
        try:
            return annotation.model_validate(stated)
        except ValidationError as error:
            needed, given = ", ".join(annotation.model_fields), ", ".join(stated)
            message = f"source {source.name}: the format {source.format} states {given}, and the dataset's task needs {needed}"
            raise SpecError(f"{message}; use another format, or a Dataset of another task") from error
