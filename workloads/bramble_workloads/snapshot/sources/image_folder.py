"""Reads an image folder: `<class>/<file>`, and an optional `metadata.csv` whose columns become the `meta` of samples."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from bramble.contracts.jobs.snapshot import Finding, Source
from bramble.contracts.sources.image_folder import IMAGE_FOLDER
from bramble.contracts.tasks.base import Annotation
from bramble_workloads.errors import BadData
from bramble_workloads.snapshot.findings import finding
from bramble_workloads.snapshot.metadata import METADATA, read_metadata
from bramble_workloads.snapshot.sources.base import Candidate, Listing, SourceReader
from bramble_workloads.store import Store

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg"})
DEPTH = 2
"""The number of parts of a picture's path: its class and its file."""


class ImageFolderReader(SourceReader):
    """Reads the label of a picture from the name of its folder. Candidates are sorted by key."""

    contract = IMAGE_FOLDER

    def read(self, store: Store, source: Source, annotation: type[Annotation]) -> Listing:
        prefix = f"{(source.prefix or '').strip('/')}/"
        entries = {entry.key.removeprefix(prefix): entry for entry in store.list(prefix)}
        metadata = entries.pop(METADATA, None)
        columns = read_metadata(store.get(metadata.key), store.uri(metadata.key)) if metadata else {}
        pictures = {path: entry for path, entry in entries.items() if _is_picture(path)}
        if not pictures:
            where = store.uri(prefix)
            raise BadData(f"source {source.name}: {where} has no <class>/<file>.png or .jpg; put some there, or correct s3.prefix")
        candidates = (
            Candidate(source.name, entry, self.annotate(source, annotation, label=PurePosixPath(path).parts[0]), columns.get(path, {}))
            for path, entry in sorted(pictures.items())
        )
        left_out = _left_out(source.name, entries.keys() - pictures.keys(), columns.keys() - pictures.keys())
        return Listing(tuple(candidates), tuple(left_out))


def _is_picture(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return len(parts) == DEPTH and parts[0] != ".." and PurePosixPath(path).suffix.lower() in EXTENSIONS


def _left_out(source: str, files: Iterable[str], rows: Iterable[str]) -> Iterable[Finding]:
    if found := sorted(files):
        yield finding("layout", "warning", f"source {source}: files that are not <class>/<file>.png or .jpg are left out", found)
    if found := sorted(rows):
        yield finding("metadata", "warning", f"source {source}: {METADATA} has rows for files that do not exist", found)
