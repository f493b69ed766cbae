"""The Go side of the cluster: its own tests, run with ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.cluster.binaries import NODEBOX, go_build

pytestmark = pytest.mark.skipif(
    shutil.which("go", path=os.pathsep.join([os.environ["PATH"], *go_build.SYSTEM_FOLDERS])) is None, reason="no Go"
)


def go(verb: str, *arguments: str) -> None:
    """Compiled as for the cluster, so that the two share what they have compiled: else each dependency is compiled a second time."""
    command, environment = go_build.Toolchain.find(NODEBOX).command, os.environ | go_build.ENVIRONMENT
    asked = [command, verb, *go_build.COMPILED, *arguments]
    done = subprocess.run(asked, cwd=NODEBOX, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_go_code_is_formatted_and_vetted() -> None:
    formatter = Path(go_build.Toolchain.find(NODEBOX).command).resolve().with_name("gofmt")
    unformatted = subprocess.run([formatter, "-l", "."], cwd=NODEBOX, capture_output=True, text=True, check=True).stdout
    assert unformatted == ""
    go("vet", "./cri", "./shim", "./internal/...")


def test_the_parts_of_the_runtime() -> None:
    go("test", "./internal/...")


@pytest.mark.cluster
def test_the_runtime_does_what_a_kubelet_asks_for() -> None:
    """Needs root, for namespaces and mounts; every test has a network and processes of its own."""
    go("test", "-count=1", "./cri")
