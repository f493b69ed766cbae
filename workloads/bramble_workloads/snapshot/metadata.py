"""Parses `metadata.csv`, which has further columns for the files of a folder, as in Hugging Face's ImageFolder. They become the `meta` of
samples.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bramble_workloads.errors import BadData
from bramble_workloads.snapshot.columns import Texts

METADATA = "metadata.csv"
ENCODING = "utf-8-sig"
FILE_NAME = "file_name"
"""The column with the path of a file, relative to the folder."""


class Columns(Mapping[str, dict[str, str]]):
    """The values of the other columns of each file, by its path. They are held as JSON, which takes less memory than dictionaries."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._values = Texts()

    def append(self, path: str, values: Mapping[str, str]) -> None:
        """Add the values of a file that has none yet."""
        self._rows[path] = len(self._values)
        self._values.append(json.dumps(values))

    def __getitem__(self, path: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._values[self._rows[path]])
        return found

    def __contains__(self, path: object) -> bool:
        return path in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class Metadata(NamedTuple):
    """The content of the file.

    Attributes:
        columns: the other columns of each file, by its path. An empty value counts as absent.
        contradicting: the paths that have several rows with different values. The first row counts.
    """

    columns: Mapping[str, dict[str, str]]
    contradicting: tuple[str, ...] = ()


def read_metadata(content: bytes, uri: str) -> Metadata:
    """Parse the file.

    Args:
        content: the content of the file.
        uri: the address of the file, for messages.

    Raises:
        BadData: it is not a CSV in UTF-8, lacks the column with the path, or a row has another number of values than the header.
    """
    rows = _rows(content, uri)
    header = _header(next(rows, []), uri)
    at = header.index(FILE_NAME)
    columns = Columns()
    contradicting: set[str] = set()
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise BadData(f"{uri}, line {number} has {len(row)} values for {len(header)} columns")
        values = {name: value for name, value in zip(header, row, strict=True) if name != FILE_NAME and value != ""}
        if row[at] not in columns:
            columns.append(row[at], values)
        elif columns[row[at]] != values:
            contradicting.add(row[at])
    return Metadata(columns, tuple(sorted(contradicting)))


def _rows(content: bytes, uri: str) -> Iterator[list[str]]:
    try:
        content.decode(ENCODING)
    except UnicodeDecodeError as error:
        raise BadData(f"{uri} is not in UTF-8 ({error}): save it as CSV UTF-8") from error
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), ENCODING, newline=""), strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise BadData(f"{uri}, line {reader.line_num}: {error}; close every quote, and double a quote within a value") from error


def _header(first: Sequence[str], uri: str) -> list[str]:
    """The names of the columns, without spaces around them.

    Raises:
        BadData: there is none for the path, one has no name, or two have the same.
    """
    header = [name.strip() for name in first]
    if FILE_NAME not in header:
        hint = "; values must be separated by commas" if len(header) == 1 and any(mark in header[0] for mark in ";\t|") else ""
        there = ", ".join(header) or "none"
        raise BadData(f"{uri} has no column {FILE_NAME!r} (it has {there}); add it, with paths such as cat/1.png{hint}")
    if unnamed := [number for number, name in enumerate(header, start=1) if not name]:
        raise BadData(f"{uri}: column {unnamed[0]} of {len(header)} has no name in the first line; name it, or remove it")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise BadData(f"{uri} has several columns {twice[0]!r}; rename or remove all but one")
    return header
