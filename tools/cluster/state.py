"""The folder of one cluster, and whether it is alive.

Everything a cluster writes is below its folder. The supervisor holds a lock on `alive` for as long as it lives, so that nobody has to
trust a process id that may have been given to another process since.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.cluster.errors import ClusterError

NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


def clusters_folder() -> Path:
    """`BRAMBLE_CLUSTERS`, else a folder per user below the temporary folder; sockets in it need a short path."""
    chosen = os.environ.get("BRAMBLE_CLUSTERS")
    return Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"bramble-{os.getuid()}" / "clusters"


def _make_private(folder: Path) -> None:
    """Make a folder that is this user's alone: the temporary folder is everybody's, and a name in it may be somebody else's."""
    for place in (folder,) if os.environ.get("BRAMBLE_CLUSTERS") else (folder.parent, folder):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = place.lstat()
        if owner.st_uid != os.getuid() or not stat.S_ISDIR(owner.st_mode):
            raise ClusterError(f"{place} belongs to somebody else: set BRAMBLE_CLUSTERS to a folder of your own")


@dataclass(frozen=True)
class State:
    """Paths of one cluster's folder."""

    folder: Path

    @classmethod
    def named(cls, name: str) -> State:
        if not NAME_PATTERN.fullmatch(name):
            raise ClusterError(f"cluster name {name!r}: at most 30 of a-z, 0-9 and -, beginning and ending with a letter or digit")
        return cls(clusters_folder() / name)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def alive(self) -> Path:
        return self.folder / "alive"

    @property
    def description(self) -> Path:
        return self.folder / "cluster.json"

    @property
    def control_socket(self) -> Path:
        return self.folder / "control.sock"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def configs(self) -> Path:
        return self.folder / "configs"

    @property
    def images(self) -> Path:
        return self.folder / "images.json"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def node(self, name: str) -> Path:
        return self.folder / "nodes" / name

    def log(self, process: str) -> Path:
        """Log of a process; those of a node are called `<node>/<component>`."""
        return self.logs / f"{process.replace('/', '.')}.log"

    def create(self) -> int:
        """Make the folder and take its lock; returns the descriptor that holds it. Somebody's living cluster of that name is an error."""
        with _folders_locked(create=True):
            self._remove_if_dead()
            try:
                self.folder.mkdir(mode=0o700)
            except FileExistsError:
                raise ClusterError(
                    f"cluster {self.name!r} is up already: use it (export KUBECONFIG={self.kubeconfig}), or end it with"
                    f" `python -m tools.cluster down --name {self.name}`"
                ) from None
            descriptor = os.open(self.alive, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        for folder in (self.logs, self.pki, self.configs, self.store, self.folder / "nodes"):
            folder.mkdir(mode=0o700)
        return descriptor

    def is_alive(self) -> bool:
        """Whether a supervisor, or somebody who starts one, holds the lock."""
        try:
            descriptor = os.open(self.alive, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look do not take each other for the supervisor
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def remove_if_dead(self) -> bool:
        """Remove what a dead cluster left; False where it lives or nothing is there."""
        with _folders_locked(create=False) as folder:
            removed = self._remove_if_dead()
            if removed and folder is not None and not any(folder.iterdir()):
                _remove_empty(folder)
            return removed

    def _remove_if_dead(self) -> bool:
        if not self.folder.exists() or self.is_alive():
            return False
        shutil.rmtree(self.folder)
        return True

    def write_json(self, path: Path, document: Any, mode: int = 0o600) -> Path:
        """Replace a file in one step, so that no reader sees half of it."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(document, indent=1))
        temporary.chmod(mode)
        temporary.rename(path)
        return path


@contextmanager
def _folders_locked(*, create: bool) -> Iterator[Path | None]:
    """Nobody else makes or removes a cluster's folder meanwhile: a new one has its lock before it can be taken for dead.

    The lock is on the folder of all clusters, which the last one takes with it; who waited for it then starts over.
    """
    while True:
        folder = clusters_folder()
        try:
            if create:
                _make_private(folder)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, FileExistsError):  # removed before, or while it was made
            if create:
                continue
            yield None
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_still(folder, descriptor):
                yield folder
                return
        finally:
            os.close(descriptor)


def _is_still(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False


def _remove_empty(folder: Path) -> None:
    folder.rmdir()
    if not os.environ.get("BRAMBLE_CLUSTERS"):
        with suppress(OSError):  # it holds something else, or somebody makes the next cluster
            folder.parent.rmdir()


def all_states() -> Iterator[State]:
    """Every cluster folder of this user, living or dead."""
    try:
        folders = sorted(clusters_folder().iterdir())
    except FileNotFoundError:
        return
    for folder in folders:
        if folder.is_dir() and NAME_PATTERN.fullmatch(folder.name):
            yield State(folder)
