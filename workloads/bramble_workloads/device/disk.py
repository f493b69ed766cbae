"""Writes files so that they survive a power cut.

The content is written under a temporary name and flushed with fsync, then the file is renamed, then the folder is flushed.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file as a whole. After a power cut the file has either its old content or all of the new one.

    An interrupted write leaves a file with the suffix `.new`, which the next write replaces.
    """
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)  # noqa: PTH105  (tests replace os.replace to end the process here)
    sync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Delete a file, if it exists, so that it stays deleted after a power cut."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder with fsync, so that renamed and deleted files in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
