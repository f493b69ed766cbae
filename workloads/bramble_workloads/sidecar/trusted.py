"""Opens files of the run folder safely. The trainer must not be able to make the sidecar upload its Secret or its token.

The trainer writes to the run folder, so any path in it may be a link, and may become one at any moment.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bramble_workloads.errors import SpecError


@contextmanager
def opened(path: Path, root: Path) -> Iterator[Path]:
    """Open a file. Yields a path that refers to this file even if `path` is replaced meanwhile.

    Raises:
        FileNotFoundError: there is no such file.
        SpecError: it is not a regular file, cannot be read, or is not below `root`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SpecError(f"{path.relative_to(root)} is a link: copy the file itself there") from error
        problem = f"{path.relative_to(root)} cannot be read ({error.strerror}): leave regular files that their owner may read"
        raise SpecError(problem) from error
    try:
        name = Path(f"/proc/self/fd/{descriptor}")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SpecError(f"{path.relative_to(root)} is not a regular file: write files only, and checkpoints without subfolders")
        if not name.readlink().is_relative_to(root.resolve()):
            raise SpecError(f"{path.relative_to(root)} lies outside the run's folder: copy the file itself there")
        yield name
    finally:
        os.close(descriptor)


def end_of(path: Path, root: Path, most: int) -> bytes:
    """The last bytes of a file, at most `most`. Raises as `opened` does."""
    with opened(path, root) as name, name.open("rb") as file:
        file.seek(max(0, name.stat().st_size - most))
        return file.read(most)
