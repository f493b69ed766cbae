"""Folders that images are made of: Python environments by lock file, copies of code by content. Kept in the user's cache.

An environment is made by uv from a lock with hashes, once for each lock and interpreter. Its interpreter must be readable by every user,
since containers run as 65532: one below a closed home folder is fine, because the container gets its prefix as a mount of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.commands import run
from tools.cluster.errors import MissingRequirement
from tools.cluster.progress import Progress
from tools.cluster.state import all_states

REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = 10
"""Newest folders of each sort that are never removed."""


@dataclass(frozen=True)
class CodePart:
    """A package or a file of an image, and where it stands below the folder on PYTHONPATH."""

    source: Path
    target: str


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "bramble" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def interpreter_prefix() -> Path:
    """Where the interpreter of this process is installed, behind its virtual environment."""
    return Path(sys.base_prefix).resolve()


def digest_of(*parts: bytes) -> str:
    """sha256, in hex, of parts with their lengths, so that no two lists of parts give the same bytes."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.hexdigest()


def read_code(parts: tuple[CodePart, ...]) -> dict[str, bytes]:
    """Contents by path in the copy, read once so that digest and copy agree; byte code and hidden files are left out."""
    contents = {}
    for part in parts:
        if part.source.is_file():
            contents[part.target] = part.source.read_bytes()
            continue
        for path in sorted(part.source.rglob("*")):
            relative = path.relative_to(part.source)
            if path.is_file() and "__pycache__" not in relative.parts and not any(name.startswith(".") for name in relative.parts):
                contents[f"{part.target}/{relative}"] = path.read_bytes()
    return contents


def code_digest(contents: dict[str, bytes]) -> str:
    return digest_of(*(part for name, content in sorted(contents.items()) for part in (name.encode(), content)))


def environment_digest(lock: str) -> str:
    """Of an environment that is not made yet: the lock's text, the interpreter's version and place."""
    return digest_of(lock.encode(), sys.version.encode(), str(interpreter_prefix()).encode())


def environment(lock: str, name: str, progress: Progress) -> Path:
    """The environment of a lock's text, made if it is not there."""

    def make(folder: Path) -> None:
        progress(f"image {name}: installing its {lock.count('==')} packages")
        requirements = folder / "requirements.txt"
        requirements.write_text(lock)
        uv = find_uv()
        base = [str(uv), "--quiet"]
        run(*base, "venv", "--relocatable", "--no-project", "--no-managed-python", "--python", _base_interpreter(), str(folder / "venv"))
        hashes = ["--require-hashes"] if "--hash=" in lock else []
        target = ["--python", str(folder / "venv" / "bin" / "python")]
        if lock.strip():
            run(*base, "pip", "install", *target, *hashes, "--no-deps", "--compile-bytecode", "--requirement", str(requirements))

    return _cached("environments", environment_digest(lock), make)


def code(contents: dict[str, bytes]) -> Path:
    """A copy of packages and files, compiled, to stand on PYTHONPATH."""

    def make(folder: Path) -> None:
        for name, content in contents.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        run(sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(folder))

    return _cached("code", code_digest(contents), make)


def _cached(sort: str, digest: str, make: Callable[[Path], None]) -> Path:
    """The folder of a digest, made under another name first; two processes that want it make it once."""
    base = cache_folder() / sort
    base.mkdir(exist_ok=True)
    folder = base / digest[:32]
    with _locked(base / ".lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=".making-", dir=base) as temporary:
                made = Path(temporary) / "made"
                made.mkdir()
                make(made)
                _open_to_all(made)
                made.rename(folder)
        os.utime(folder)
        _prune(base, keep=folder)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _prune(base: Path, keep: Path) -> None:
    """Remove what is neither among the newest by last use nor in the table of a cluster that runs."""
    used = _in_use()
    folders = [folder for folder in base.iterdir() if folder.is_dir() and folder != keep and not folder.name.startswith(".")]
    for folder in sorted(folders, key=lambda each: each.stat().st_mtime, reverse=True)[KEPT - 1 :]:
        if not any(place.is_relative_to(folder) for place in used):
            shutil.rmtree(folder)


def _in_use() -> set[Path]:
    places = set()
    for state in all_states():
        if state.is_alive():
            with suppress(FileNotFoundError):  # it runs no pods yet, or has just ended
                table = json.loads(state.images.read_text())
                places |= {Path(mount["source"]) for image in table["images"] for mount in image["mounts"]}
    return places


def _open_to_all(folder: Path) -> None:
    """Readable for every user: containers run as others than who made this."""
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        wanted = mode | 0o444 | (0o111 if path.is_dir() or mode & 0o100 else 0)
        if wanted != mode:
            path.chmod(wanted)


def _base_interpreter() -> str:
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def find_uv() -> Path:
    """The uv of this checkout, which `.ci/setup` names and installs where it is missing."""
    known = REPOSITORY / "build" / "uv" / "bin" / "uv"
    if known.is_file():
        return known
    named = subprocess.run([str(REPOSITORY / ".ci" / "setup"), "--print-uv"], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    if named.returncode == 0 and named.stdout.strip():
        return REPOSITORY / named.stdout.strip().splitlines()[-1]
    raise MissingRequirement(f"no uv to make images with ({named.stderr.strip()}): run `make setup`")
