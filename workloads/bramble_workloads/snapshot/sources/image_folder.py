"""Reads an image folder: `<class>/<file>`, and an optional `metadata.csv` whose columns become the `meta` of samples."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from posixpath import splitext

from bramble.contracts.jobs.snapshot import Finding, Source
from bramble.contracts.sources.image_folder import IMAGE_FOLDER
from bramble.contracts.store import OWN_FOLDERS
from bramble.contracts.tasks.base import Annotation
from bramble.objectstore.bucket import Entry
from bramble_workloads.errors import BadData
from bramble_workloads.snapshot.columns import Rows, Selected
from bramble_workloads.snapshot.findings import finding
from bramble_workloads.snapshot.metadata import METADATA, Metadata, read_metadata
from bramble_workloads.snapshot.sources.base import Candidate, Entries, Listing, SourceReader
from bramble_workloads.store import Store

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg"})
HIDDEN = (".", "__MACOSX")
"""A file or folder whose name begins so is not a sample: editors, notebooks and archivers keep copies and thumbnails there."""
LONGEST_NAME = 255
"""Bytes of a name of a folder or file on Linux. Training gets the pictures in folders that are named after the classes."""
DEPTH = 2
"""The number of parts of a picture's path: its class and its file."""


class ImageFolderReader(SourceReader):
    """Reads the label of a picture from the name of its folder. Candidates are sorted by key."""

    contract = IMAGE_FOLDER

    def read(self, store: Store, source: Source, annotation: type[Annotation]) -> Listing:
        folder = (source.prefix or "").strip("/")
        prefix = f"{folder}/" if folder else ""
        entries, hidden, others = Entries(), set[str](), set[str]()
        metadata: Entry | None = None
        for entry in store.list(prefix):
            path = entry.key.removeprefix(prefix)
            if not folder and path.partition("/")[0] in OWN_FOLDERS:  # the whole store, which also has what Bramble writes
                continue
            if any(part.startswith(HIDDEN) for part in path.split("/")):
                hidden.add(path)
            elif path == METADATA:
                metadata = entry
            elif _is_picture(path):
                entries.append(entry)
            else:
                others.add(path)
        columns, contradicting = read_metadata(store.get_listed(metadata), store.uri(metadata.key)) if metadata else Metadata({})
        if not entries:
            where = store.uri(prefix)
            raise BadData(f"source {source.name}: {where} has no <class>/<file>.png or .jpg; put some there, or correct s3.prefix")
        labels = sorted({_label(entry.key.removeprefix(prefix)) for entry in entries})
        annotations = {label: self.annotate(source, annotation, label=label) for label in labels}  # shared by the pictures of a class
        found = [*_left_out(source.name, hidden, others)]
        if metadata:
            found += _unmatched(source.name, prefix, columns.keys() - hidden, lambda: (entry.key.removeprefix(prefix) for entry in entries))
        if contradicting:
            message = f"source {source.name}: {METADATA} has several rows with different values for a file; keep the right one"
            found.append(finding("metadata", "error", message, contradicting))
        return Listing(_Pictures(source.name, prefix, Selected(entries, entries.by_key()), annotations, columns), tuple(found))


@dataclass(frozen=True, slots=True)
class _Pictures:
    """The candidates of a folder. They are made one by one, as they are read."""

    origin: str
    prefix: str
    entries: Rows[Entry]
    annotations: Mapping[str, Annotation]
    columns: Mapping[str, dict[str, str]]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, number: int) -> Candidate:
        entry = self.entries[number]
        path = entry.key.removeprefix(self.prefix)
        return Candidate(self.origin, entry, self.annotations[_label(path)], self.columns.get(path, {}))

    def __iter__(self) -> Iterator[Candidate]:
        return map(self.__getitem__, range(len(self)))


def _label(path: str) -> str:
    return path.partition("/")[0]


def _is_picture(path: str) -> bool:
    """Whether a path is `<class>/<file>` with the extension of a picture. A store allows parts that no file system has: empty ones."""
    parts = path.split("/")
    return len(parts) == DEPTH and all(map(_is_name, parts)) and splitext(path)[1].lower() in EXTENSIONS


def _is_name(part: str) -> bool:
    return part not in ("", "..") and part.isprintable() and len(part.encode()) <= LONGEST_NAME


def _left_out(source: str, hidden: Iterable[str], files: Iterable[str]) -> Iterable[Finding]:
    if found := sorted(hidden):
        yield finding("layout", "info", f"source {source}: hidden files, and files in hidden folders, are left out", found)
    if found := sorted(files):
        message = f"files that are not <class>/<file>.png or .jpg, with printable names of at most {LONGEST_NAME} bytes, are left out"
        yield finding("layout", "warning", f"source {source}: {message}", found)


def _unmatched(source: str, prefix: str, rows: AbstractSet[str], files: Callable[[], Iterable[str]]) -> Iterable[Finding]:
    """Rows for files that do not exist. If no row has its file, the whole table is written in another way, and that blocks training."""
    without = set(rows)
    without.difference_update(files())
    if not without:
        return
    missing = sorted(without)
    message = f"source {source}: {METADATA} has rows for files that do not exist"
    alike = _by_name(files()) | {_plain(file, ""): file for file in files()}
    if (row := next((row for row in missing if _plain(row, prefix) in alike), None)) is not None:
        message += f"; {row!a} is meant to be {alike[_plain(row, prefix)]!a}: write paths below the source's folder, letter by letter"
    yield finding("metadata", "warning" if len(missing) < len(rows) else "error", message, missing)


def _by_name(files: Iterable[str]) -> dict[str, str]:
    """The files by their names without the class, as far as a name is that of one file only."""
    named: dict[str, str | None] = {}
    for file in files:
        name = _plain(file.rpartition("/")[2], "")
        named[name] = None if name in named else file
    return {name: file for name, file in named.items() if file is not None}


def _plain(path: str, prefix: str) -> str:
    """A path without the differences that people do not see, or do not mean: the direction of slashes, the folder's own path, the case, and
    how Unicode composes letters.
    """
    return unicodedata.normalize("NFC", path).replace("\\", "/").removeprefix("./").removeprefix("/").removeprefix(prefix).casefold()
