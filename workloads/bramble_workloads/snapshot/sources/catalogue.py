"""The readers, in the order of `bramble.contracts.sources.catalogue.FORMATS`."""

from __future__ import annotations

from bramble_workloads.snapshot.sources.base import SourceReader
from bramble_workloads.snapshot.sources.image_folder import ImageFolderReader

READERS: tuple[SourceReader, ...] = (ImageFolderReader(),)


def reader_of(format_: str) -> SourceReader:
    """The reader of a format.

    Raises:
        KeyError: this release has no such format.
    """
    return {reader.contract.format: reader for reader in READERS}[format_]
