"""No process of Bramble opens a connection that it should not: every step runs where each connection to the world is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.telemetry.every_step import NOTICED, SCENES
from tests.unit.telemetry.recorder import NAMESERVER, Destination
from tests.unit.workloads.models import digits_graph

ROOT = Path(__file__).resolve().parents[3]
RECORDER = [sys.executable, "-m", "tests.unit.telemetry.recorder"]
DNS = 53
LOAD_A_GRAPH = """
import sys
import onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""
ASK_FOR_A_NAME = """
import socket, contextlib
with contextlib.suppress(OSError):
    socket.getaddrinfo("bramble.example", 443)
"""

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        subprocess.run([*RECORDER, os.devnull, "true"], cwd=ROOT, capture_output=True, check=False).returncode != 0,
        reason="this user may not make network namespaces",
    ),
]


def destinations(folder: Path, *command: str, **environment: str) -> set[Destination]:
    """Where the processes of a command tried to go outside loopback, and every question for a name."""
    out = folder / "destinations.json"
    done = subprocess.run(
        [*RECORDER, str(out), *command],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in NOTICED} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: set[Destination] = {(protocol, address, port) for protocol, address, port in json.loads(out.read_text())}
    return {each for each in found if each[2] == DNS or not each[1].startswith(("127.", "::1"))}


@pytest.mark.parametrize("scene", [scene.__name__ for scene in SCENES])
def test_a_step_reaches_nothing_but_what_it_is_told_to(scene: str, tmp_path: Path) -> None:
    found = destinations(tmp_path, sys.executable, "-m", "tests.unit.telemetry.every_step", str(tmp_path), scene, HOME=str(tmp_path))
    assert found == set(), f"{scene} tried to reach {sorted(found)}"


def test_onnx_runtime_reports_unless_it_is_told_not_to(tmp_path: Path) -> None:
    """The installed build does report, so the silence of the steps above is Bramble's doing and the recorder sees what it should."""
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(digits_graph())
    command = [sys.executable, "-c", LOAD_A_GRAPH, str(graph)]
    reporting = destinations(tmp_path, *command, ORT_DISABLE_TELEMETRY="0", HOME=str(tmp_path))
    assert ("udp", NAMESERVER, DNS) in reporting, "this build asks for no name: docs/dependencies.md says that it reports"
    assert destinations(tmp_path, *command, ORT_DISABLE_TELEMETRY="1", HOME=str(tmp_path)) == set()


def test_a_question_for_a_name_is_seen(tmp_path: Path) -> None:
    assert destinations(tmp_path, sys.executable, "-c", ASK_FOR_A_NAME) == {("udp", NAMESERVER, DNS)}
