"""Writes that survive a power cut: content first, then the name, then the folder that holds the name."""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file as a whole: after a power cut it holds either what it held before or all of `content`.

    A file of the same name with `.new` behind it is left over when the write was cut short; the next write replaces it.
    """
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    publish(temporary, path)


def publish(temporary: Path, final: Path) -> None:
    """Give a file whose content is on the disk its final name, durably. Both names are in one folder."""
    os.replace(temporary, final)  # noqa: PTH105  (the tests break it here)
    sync_folder(final.parent)


def remove_durably(path: Path) -> None:
    """Remove a file; no error where there is none."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder as durable as its files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
