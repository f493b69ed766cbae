"""The samples of the previous version of a dataset, and of all versions before it: which split and which group each of them was in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from bramble.contracts.base import problems_of
from bramble.contracts.manifest import SPLITS, Departed, Manifest, Split, read_sample
from bramble.contracts.store import LARGEST_DOCUMENT
from bramble.contracts.tasks.catalogue import contract_of
from bramble.contracts.untrusted import SMALL_DOCUMENT, parse_untrusted
from bramble_workloads.errors import BadData
from bramble_workloads.snapshot.columns import Digests
from bramble_workloads.store import Store


class Placed(Protocol):
    """A sample of an earlier version: its id, its split and its group."""

    @property
    def id(self) -> str: ...

    @property
    def split(self) -> Split: ...

    @property
    def group(self) -> str: ...


class Previous(Mapping[str, Placed]):
    """The samples by id, sorted by id. It takes 65 bytes for each.

    Args:
        samples: the samples, sorted by id.

    Raises:
        ValueError: they are not sorted, or one occurs twice.
    """

    def __init__(self, samples: Iterable[Placed] = ()) -> None:
        self._ids, self._groups, self._splits = Digests(), Digests(), bytearray()
        last = ""
        for each in samples:
            if each.id <= last:
                raise ValueError(f"its samples are not sorted by id: {each.id} follows {last}")
            last = each.id
            self._ids.append(each.id)
            self._groups.append(each.group)
            self._splits.append(SPLITS.index(each.split))

    def __getitem__(self, sample: str) -> Placed:
        if (row := self._ids.find(sample)) is None:
            raise KeyError(sample)
        return self._row(row)

    def __contains__(self, sample: object) -> bool:
        return isinstance(sample, str) and self._ids.find(sample) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._splits)

    def departed(self, present: Iterable[str]) -> Iterator[Departed]:
        """The samples of earlier versions that a new version does not have.

        Args:
            present: the ids of the samples of the new version, sorted.
        """
        ids = iter(present)
        here = next(ids, None)
        for row, sample in enumerate(self._ids):
            while here is not None and here < sample:
                here = next(ids, None)
            if here != sample:
                yield self._row(row)

    def _row(self, row: int) -> Departed:
        return Departed(id=self._ids[row], split=SPLITS[self._splits[row]], group=self._groups[row])


def read_previous(store: Store, digest: str, folder: Path) -> Previous:
    """Read the samples of the previous version, and those that departed before.

    Args:
        store: the store of the namespace.
        digest: the manifest of the previous version.
        folder: a folder for the files that are downloaded.

    Raises:
        BadData: the manifest, or a file that it names, is no such document.
    """
    try:
        manifest = parse_untrusted(Manifest, store.get_blob(digest), LARGEST_DOCUMENT)
        annotation = contract_of(manifest.task).annotation
        samples = (read_sample(line, annotation) for line in _lines(store, manifest.samples, folder / "previous-samples"))
        lines = _lines(store, manifest.departed, folder / "previous-departed")
        departed = (parse_untrusted(Departed, line, SMALL_DOCUMENT) for line in lines)
        return Previous(merge(samples, departed, key=attrgetter("id")))
    except ValueError as error:
        why = problems_of(error) if isinstance(error, ValidationError) else str(error)
        raise BadData(f"the previous manifest {digest} cannot be read, so splits cannot be kept: {why}") from error


def _lines(store: Store, digest: str | None, path: Path) -> Iterator[bytes]:
    if digest is None:
        return
    store.download_blob(digest, path)
    with path.open("rb") as file:
        yield from file
    path.unlink()
