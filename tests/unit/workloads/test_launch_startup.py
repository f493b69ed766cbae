"""What Python processes of a user's command run when they start, so that they end soon after an exception."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bramble_workloads.launch.main import STARTUP

BEGIN = """
import atexit, code, sys, threading
class Noisy:
    def __init__(self): self.own = self
    def __del__(self): print("collected", flush=True)
kept, file = Noisy(), open("file", "w")
atexit.register(lambda: print("handler", flush=True))
file.write("all")
"""
"""A program whose end shows: its exit handler, an object that only the teardown collects, and a file that nobody has closed."""


def ended(folder: Path, end: str, *python_path: str) -> tuple[int, list[str], str]:
    """Exit code and output of a script, and the content of the file that it wrote."""
    (folder / "script.py").write_text(BEGIN + end)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(python_path)}
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.split(), (folder / "file").read_text()


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("raise ValueError('boom')", id="an exception at the top"),
        pytest.param("def work(): 1 / 0\nwork()", id="an exception in a function"),
    ],
)
def test_an_exception_ends_the_process_after_its_handlers_without_a_teardown(end: str, tmp_path: Path) -> None:
    assert ended(tmp_path, end) == (1, ["handler", "collected"], "all"), "this is what Python does by itself"
    assert ended(tmp_path, end, STARTUP) == (1, ["handler"], "all")


@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param("", 0, id="success"),
        pytest.param("sys.exit(65)", 65, id="a code of its own"),
        pytest.param("try:\n    raise ValueError\nexcept ValueError:\n    sys.exit(3)", 3, id="a code after an exception that was caught"),
        pytest.param("threading.Thread(target=lambda: 1 / 0).start()", 0, id="an exception in another thread"),
        pytest.param("code.InteractiveConsole().push('1 / 0')", 0, id="an exception in a console of the program"),
    ],
)
def test_any_other_end_is_left_alone(end: str, code: int, tmp_path: Path) -> None:
    assert ended(tmp_path, end, STARTUP) == (code, ["handler", "collected"], "all")


def test_the_images_own_sitecustomize_runs_too(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('own')\nx = 1\n")
    code, printed, _ = ended(tmp_path, "import sitecustomize; print(sitecustomize.x)", STARTUP, str(tmp_path))
    assert (code, printed) == (0, ["own", "1", "handler", "collected"])
