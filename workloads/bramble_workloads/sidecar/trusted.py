"""Reading what the trainer left, and nothing else: the sidecar mounts a Secret and a token that the trainer must not see.

The run folder is the trainer's to write, so any name in it may be a link, and may become one at any moment.
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
    """A name of the open file, which stays this file whatever becomes of `path`.

    Raises:
        FileNotFoundError: there is none.
        SpecError: it is no regular file, or does not lie below `root`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SpecError(f"{path.relative_to(root)} is a link: copy the file itself there") from error
        raise
    try:
        name = Path(f"/proc/self/fd/{descriptor}")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SpecError(f"{path.relative_to(root)} is no regular file: Bramble takes files, and checkpoints without subfolders")
        if not name.readlink().is_relative_to(root.resolve()):
            raise SpecError(f"{path.relative_to(root)} lies outside the run's folder: copy the file itself there")
        yield name
    finally:
        os.close(descriptor)
