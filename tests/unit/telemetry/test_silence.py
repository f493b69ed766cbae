"""No process of Bramble opens a connection that it should not, and none leaves what a library would report later.

Network namespaces show the connections of native code as well, which hooks in Python do not see. ONNX Runtime waits some seconds before it
reports, longer than a step may live, but writes its records below the home at once: so the home is looked at as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "tests.unit.telemetry"]
STEPS = ("snapshot", "train", "evaluate", "convert", "serve", "benchmark", "operate")
REPORTS_TO = "mobile.events.data.microsoft.com"
ITS_OWN = {"0.0.0.0.in-addr.arpa", "1.0.0.127.in-addr.arpa"}
"""torch asks for the names of the addresses of its own sockets: of the ranks, in a cluster."""
LONG = 1500.0

pytestmark = [
    pytest.mark.timeout(LONG),
    pytest.mark.slow,
    pytest.mark.skipif(
        subprocess.run(COMMAND, cwd=ROOT, capture_output=True, check=False).returncode != 0,
        reason="this user may not make network namespaces",
    ),
]

Seen = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Every scene, run once."""
    folder = tmp_path_factory.mktemp("scenes")
    with (folder / "log").open("wb") as log:
        done = subprocess.run([*COMMAND, str(folder)], cwd=ROOT, stdout=log, stderr=log, timeout=LONG, check=False)
    assert done.returncode == 0, (folder / "log").read_text(errors="replace")
    found: Seen = json.loads((folder / "scenes.json").read_text())
    return found


def outside(destinations: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """What is not loopback, and every name that was asked for but those of the processes' own addresses."""
    return [each for each in destinations if not each[1].startswith("127.") and each[1] not in {"::1", *ITS_OWN}]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_reaches_nothing_but_what_it_is_told_to(step: str, seen: Seen) -> None:
    assert seen[step]["error"] == ""
    assert outside(seen[step]["destinations"]) == []
    assert seen[step]["files"] == []


def test_onnx_runtime_reports_where_it_is_not_told_not_to(seen: Seen) -> None:
    """So the silence of the steps is Bramble's doing. When this fails, docs/security.md is out of date."""
    assert seen["onnx_runtime_alone"]["error"] == ""
    assert ["dns", REPORTS_TO, 53] in seen["onnx_runtime_alone"]["destinations"]
    assert any(file.endswith(".onnxruntime/deviceid") for file in seen["onnx_runtime_alone"]["files"])


def test_a_name_that_is_asked_for_is_seen(seen: Seen) -> None:
    assert seen["a_name"]["destinations"] == [["dns", "bramble.example", 53]]
