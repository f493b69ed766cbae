"""The files of this repository as Git sees them: tracked, and new ones that it does not ignore."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PRODUCT = ("operator/", "workloads/")


@cache
def files() -> tuple[Path, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python(prefixes: tuple[str, ...] = ("",)) -> tuple[Path, ...]:
    return tuple(path for path in files() if path.suffix == ".py" and relative(path).startswith(prefixes))


def text(path: Path) -> str | None:
    """The file's text, or None if it holds something else (a picture, a model)."""
    raw = path.read_bytes()
    return None if b"\0" in raw else raw.decode()
