"""Agents and operator of different releases understand each other: documents go through the contracts of an earlier commit, both ways."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bramble.contracts.assignment import Assignment, Blob, PackageBlobs
from bramble.contracts.canonical import canonical_json
from bramble.contracts.confusion import Confusion
from bramble.contracts.counters import Counters, Histogram
from bramble.contracts.report import CandidateState, LeftOut, Report, Running

ROOT = Path(__file__).parents[3]
FORMER = "bff511b"
"""The newest commit whose documents are stored beside this file."""
STABLE, CANDIDATE = (f"sha256:{digit * 64}" for digit in "12")

READ_ASSIGNMENT = """
import sys
from bramble.contracts.assignment import Assignment
read = Assignment.model_validate_json(sys.stdin.buffer.read())
print(read.seq, read.attempt, read.rollout_uid, read.board_of("pi-1"), read.package_of("pi-1"), len(read.packages))
"""
READ_REPORT = """
import sys
from bramble.contracts.report import Report
read = Report.model_validate_json(sys.stdin.buffer.read())
(running,) = read.running
print(read.node, read.sequence, running.active, running.candidate.state, running.seq, read.counters[0].count("requests", "errors"))
"""
WRITE_REPORT = """
from bramble.contracts.report import Report
row = {"fleet": "f", "namespace": "n", "model": "m"}
counts = {"package": "sha256:" + "1" * 64, "cohort": "stable", "attempt": 2, "counts": {"requests": 7, "crashes": 1}}
report = Report.model_validate({
    "node": "pi-1", "fleet": "f", "board": "b", "bootId": "x", "instance": "i", "uptimeMs": 5, "sequence": 9,
    "running": [{**row, "rolloutUid": "u", "attempt": 2, "seq": 4, "active": "sha256:" + "1" * 64, "bad": ["sha256:" + "2" * 64]}],
    "counters": [{"namespace": "n", "model": "m", **counts}],
})
print(report.model_dump_json(by_alias=True))
"""

Run = Callable[[str, bytes], str]


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A function that runs a program with the contracts of the former commit. Its input is a document; its result is what it prints."""
    folder = tmp_path_factory.mktemp("former")
    archive = subprocess.run(["git", "archive", FORMER, "operator/bramble/contracts"], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"this checkout does not have commit {FORMER}: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)

    def run(program: str, document: bytes = b"") -> str:
        paths = [str(folder / "operator"), *map(sysconfig.get_path, ("platlib", "purelib"))]  # -S: an editable install would come first
        code = f"import sys; sys.path[:0] = {paths!r}\n{program}"
        found = subprocess.run([sys.executable, "-I", "-S", "-c", code], input=document, capture_output=True, check=False)
        assert not found.returncode, found.stderr.decode()
        return found.stdout.decode().strip()

    return run


def assignment(**changes: Any) -> Assignment:
    blobs = PackageBlobs(blobs=(Blob(sha256=STABLE, bytes=10),))
    fields: dict[str, Any] = {
        "fleet": "f", "namespace": "n", "model": "m", "rollout_uid": "uid", "attempt": 2, "seq": 7, "nodes": {"rpi5": ("pi-1", "pi-2")},
        "stable": {"rpi5": STABLE}, "candidate": {"rpi5": CANDIDATE}, "candidate_nodes": ("pi-1",),
        "packages": {STABLE: blobs, CANDIDATE: blobs}, **changes,
    }  # fmt: skip
    return Assignment(**fields)


@pytest.mark.parametrize(
    ("present", "package"),
    [
        pytest.param(assignment(), CANDIDATE, id="a candidate"),
        pytest.param(assignment(candidate=None, candidate_nodes=(), seq=8), STABLE, id="its undo"),
    ],
)
def test_an_older_agent_hears_a_newer_operator(former: Run, present: Assignment, package: str) -> None:
    assert former(READ_ASSIGNMENT, canonical_json(present)) == f"{present.seq} 2 uid rpi5 {package} 2"


def test_an_older_gateway_hears_a_newer_agent(former: Run) -> None:
    counted = Counters(
        namespace="n", model="m", package=STABLE, cohort="candidate", attempt=2,
        counts={"requests": 5, "errors": 1, "rejected": 3, "overloaded": 2, "volunteered_wrong": 1}, histograms={"predict": Histogram()},
        confusion=Confusion(classes=("ad", "film"), cells=(0, 1, 4)),
    )  # fmt: skip
    row = Running(
        fleet="f", namespace="n", model="m", rollout_uid="u", attempt=2, seq=4, active=STABLE,
        candidate=CandidateState(package=CANDIDATE, state="refused", message="why"), message="too little memory",
    )  # fmt: skip
    report = Report(
        node="pi-1", fleet="f", board="rpi5", boot_id="x", instance="i", uptime_ms=5, sequence=9, running=(row,), counters=(counted,),
        left_out=LeftOut(running=1, counters=2, confusions=3), memory=((0, 2**27), (450_000, 2**27 + 1)),
    )  # fmt: skip
    assert former(READ_REPORT, report.model_dump_json(by_alias=True).encode()) == f"pi-1 9 {STABLE} refused 4 6"


def test_a_newer_gateway_hears_an_older_agent(former: Run) -> None:
    written = former(WRITE_REPORT, b"")
    report = Report.model_validate_json(written)
    (row,) = report.running
    assert (report.sequence, row.seq, row.active, row.bad) == (9, 4, STABLE, (CANDIDATE,))
    assert (report.counters[0].counts, report.counters[0].confusion) == ({"requests": 7, "crashes": 1}, None)
    assert (report.left_out, json.loads(written).get("leftOut")) == (LeftOut(), None)
    assert (report.memory, json.loads(written).get("memory")) == ((), None)
