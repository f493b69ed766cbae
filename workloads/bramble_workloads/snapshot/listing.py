"""What lies in an image folder: `<class>/<file>`, and an optional `metadata.csv` whose columns become each sample's `meta`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import ValidationError

from bramble.contracts.jobs.snapshot import Finding, Source
from bramble.contracts.tasks.base import Annotation
from bramble.objectstore.bucket import Entry
from bramble_workloads.errors import BadData, SpecError
from bramble_workloads.snapshot.findings import finding
from bramble_workloads.store import Store

METADATA = "metadata.csv"
FILE_NAME = "file_name"
"""The column that names a file below the folder, as image folders are written elsewhere."""
EXTENSIONS = frozenset({".png", ".jpg", ".jpeg"})
DEPTH = 2
"""Of a picture's path: its class and its file."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may become a sample."""

    origin: str
    """The source's name."""
    entry: Entry
    annotation: Annotation
    meta: dict[str, str]


@dataclass(frozen=True, slots=True)
class Listing:
    """All candidates of a source in order of key, and what lies there that cannot be one."""

    candidates: tuple[Candidate, ...]
    findings: tuple[Finding, ...]


def list_source(store: Store, source: Source, annotation: type[Annotation]) -> Listing:
    """List one source.

    Raises:
        BadData: there is no picture at all, or `metadata.csv` cannot be understood.
        SpecError: the dataset's task annotates samples by something else than a label.
    """
    prefix = f"{source.prefix.strip('/')}/"
    entries = {entry.key.removeprefix(prefix): entry for entry in store.list(prefix)}
    metadata = entries.pop(METADATA, None)
    columns = _read_metadata(store.get(metadata.key), store.uri(metadata.key)) if metadata else {}
    pictures = {path: entry for path, entry in entries.items() if _is_picture(path)}
    if not pictures:
        raise BadData(f"source {source.name}: no <class>/<file>.png or .jpg below {store.uri(prefix)}; put some there, or mend s3.prefix")
    candidates = tuple(
        Candidate(source.name, entry, _annotation(source, annotation, PurePosixPath(path).parts[0]), columns.get(path, {}))
        for path, entry in sorted(pictures.items())
    )
    return Listing(candidates, tuple(_oddities(source.name, entries.keys() - pictures.keys(), columns.keys() - pictures.keys())))


def _annotation(source: Source, annotation: type[Annotation], label: str) -> Annotation:
    try:
        return annotation.model_validate({"label": label})
    except ValidationError as error:
        what = ", ".join(annotation.model_fields)
        raise SpecError(f"source {source.name}: format {source.format} gives a label, and the dataset's task needs {what}") from error


def _is_picture(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return len(parts) == DEPTH and parts[0] != ".." and PurePosixPath(path).suffix.lower() in EXTENSIONS


def _oddities(source: str, ignored: Iterable[str], unmatched: Iterable[str]) -> Iterable[Finding]:
    if found := sorted(ignored):
        yield finding("layout", "warning", f"source {source}: files that are not <class>/<file>.png or .jpg are left out", found)
    if found := sorted(unmatched):
        yield finding("metadata", "warning", f"source {source}: {METADATA} names files that are not there", found)


def _read_metadata(content: bytes, uri: str) -> dict[str, dict[str, str]]:
    """Path below the folder to its columns."""
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{uri} is no CSV in UTF-8: {error}") from error
    header: Sequence[str] = rows[0] if rows else ()
    if FILE_NAME not in header:
        raise BadData(f"{uri} has no column {FILE_NAME!r} (it has {', '.join(header) or 'none'}); add it, with paths such as cat/1.png")
    at = header.index(FILE_NAME)
    columns: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise BadData(f"{uri}, line {number}: {len(row)} values for {len(header)} columns")
        columns[row[at]] = {name: value for name, value in zip(header, row, strict=True) if name != FILE_NAME and value != ""}
    return columns
