"""SIGTERM before the launcher has started anything: the attempt is disrupted, and no failure is charged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bramble.contracts.exit_codes import ExitCode
from bramble_workloads.launch.handshake import RunFolder, read, write

# A launcher that is asked to end while it prepares, as a pod is that is deleted as soon as it runs.
ASKED = """
import os, signal, sys
from bramble_workloads.launch import main

class Asked(main.Pump):
    def __init__(self, files):
        os.kill(os.getpid(), signal.SIGTERM)
        super().__init__(files)

main.Pump = Asked
sys.exit(main.main(sys.argv[1]))
"""


def test_a_launcher_that_is_asked_to_end_while_it_prepares_is_disrupted(tmp_path: Path) -> None:
    run = RunFolder(str(tmp_path))
    run.make()
    what: dict[str, object] = {"entry": None, "command": ["true"], "environment": {}, "nodes": 1, "processes": 1}
    run.plan.write_text(json.dumps({**what, "engine": "torchrun", "settings": {}, "runId": "r", "barrierSeconds": 1, "graceSeconds": 1}))
    write(run.acknowledged, {"code": 0, "message": "", "termination": {}})
    environment = {**os.environ, "BRAMBLE_TERMINATION_LOG": str(tmp_path / "termination")}
    done = subprocess.run([sys.executable, "-c", ASKED, str(tmp_path)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.TRY_AGAIN, done.stderr
    assert [cause["kind"] for cause in (read(run.causes) or {})["causes"]] == ["Disrupted"]
