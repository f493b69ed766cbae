"""Parses `metadata.csv`, which has further columns for the files of a folder, as in Hugging Face's ImageFolder. They become the `meta` of
samples.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from bramble_workloads.errors import BadData

METADATA = "metadata.csv"
FILE_NAME = "file_name"
"""The column with the path of a file, relative to the folder."""


class Metadata(NamedTuple):
    """The content of the file.

    Attributes:
        columns: the other columns of each file, by its path. An empty value counts as absent.
        contradicting: the paths that have several rows with different values. The first row counts.
    """

    columns: dict[str, dict[str, str]]
    contradicting: tuple[str, ...] = ()


def read_metadata(content: bytes, uri: str) -> Metadata:
    """Parse the file.

    Args:
        content: the content of the file.
        uri: the address of the file, for messages.

    Raises:
        BadData: it is not a CSV in UTF-8, lacks the column with the path, or a row has another number of values than the header.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{uri} is not a CSV in UTF-8: {error}") from error
    header: Sequence[str] = rows[0] if rows else ()
    if FILE_NAME not in header:
        raise BadData(f"{uri} has no column {FILE_NAME!r} (it has {', '.join(header) or 'none'}); add it, with paths such as cat/1.png")
    at = header.index(FILE_NAME)
    columns: dict[str, dict[str, str]] = {}
    contradicting: set[str] = set()
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise BadData(f"{uri}, line {number} has {len(row)} values for {len(header)} columns")
        values = {name: value for name, value in zip(header, row, strict=True) if name != FILE_NAME and value != ""}
        if columns.setdefault(row[at], values) != values:
            contradicting.add(row[at])
    return Metadata(columns, tuple(sorted(contradicting)))
