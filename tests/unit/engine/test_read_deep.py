"""A service reads objects as deep as the API server takes them, and an endless recursion is still an error, not the end of the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import json, threading
from bramble.__main__ import read_deep

def endless(_):
    return sorted([1, 2], key=endless)  # of all that was tried, what takes the most stack

def tried():
    try:
        endless(1)
    except RecursionError:
        print("an error")

read_deep()
deep = "[" * 10_000 + "]" * 10_000
assert json.loads(deep) == json.loads(deep)
assert json.dumps(json.loads(deep)) == deep
{run}
"""


@pytest.mark.parametrize(
    "run",
    [
        pytest.param("tried()", id="in the event loop's thread"),
        pytest.param("thread = threading.Thread(target=tried); thread.start(); thread.join()", id="in a thread of a pool"),
    ],
)
def test_ten_thousand_levels_are_read_and_endless_ones_are_an_error(run: str) -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM.replace("{run}", run)], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "an error\n"), ended.stderr[-500:]
