"""The files in `$BRAMBLE_OUT`, as far as the sidecar may read them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from bramble.contracts.output import LONGEST_NAME, LeftOut, is_kept_name
from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.sidecar.trusted import opened

DEEPEST = 8
MOST_ENTRIES = 100_000
"""Files and folders that are looked at. A program may have written any number."""


class OutFolder:
    """`bramble_workloads.packaging.output.Output` for the run folder. It is listed once, when the program has ended.

    Attributes:
        sizes: every regular file by its name, with its size in bytes.
        left_out: what is there beside these, and why it cannot be kept.
    """

    def __init__(self, run: RunFolder) -> None:
        self._root, self._out = run.root, run.out
        self.sizes: dict[str, int] = {}
        self.left_out: list[LeftOut] = []
        for looked, (name, status) in enumerate(_walk(run.out, "", DEEPEST)):
            if looked >= MOST_ENTRIES:
                self.left_out.append(LeftOut(name="further files", reason=f"only {MOST_ENTRIES} entries of $BRAMBLE_OUT are looked at"))
                break
            if reason := _unfit(name, status):
                self.left_out.append(LeftOut(name=name.encode(errors="replace").decode(), reason=reason))
            else:
                self.sizes[name] = status.st_size

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.sizes))

    def opened(self, name: str) -> AbstractContextManager[Path]:
        return opened(self._out / name, self._root)


def _walk(folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    """Name and status of everything below a folder that is no folder itself. A folder that cannot be listed is given like a file."""
    try:
        if folder.is_symlink():
            raise NotADirectoryError
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        if prefix or folder.is_symlink():
            yield prefix.removesuffix("/") or folder.name, folder.lstat()
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        try:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) and depth > 1:
                yield from _walk(folder / entry.name, f"{name}/", depth - 1)
            else:
                yield name, status
        except FileNotFoundError:  # a process that the program left behind has removed it
            continue


def _unfit(name: str, status: os.stat_result) -> str:
    """Why a file cannot be kept; empty if it can."""
    if stat.S_ISLNK(status.st_mode):
        return "it is a link: copy the file itself there"
    if stat.S_ISDIR(status.st_mode):
        return f"a folder that cannot be read, or that lies more than {DEEPEST} levels deep"
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if not is_kept_name(name):
        return f"its name has more than {LONGEST_NAME} characters, or some that cannot be printed"
    return ""
