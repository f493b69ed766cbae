"""The phase and the conditions of a Dataset in each of its states, and what the status keeps of a result."""

from __future__ import annotations

import pytest

from bramble.api.dataset import FindingSeen, Samples
from bramble.contracts.jobs.snapshot import Finding, SnapshotResult
from bramble.kinds.dataset.plan import plan
from bramble.kinds.dataset.status import EVENTS, not_snapshotted, snapshot_failed, snapshotted, snapshotting
from bramble.kinds.jobs.gather import StepSeen, Stored
from bramble.kinds.status_update import StatusUpdate
from tests.unit.dataset.observed import CAUSE, NOW, V1, V2, frozen, observed
from tests.unit.kinds.saying import said

row = pytest.param
SAMPLES = Samples(total=1234, bytes=9, classes=2)
FOUND = (
    FindingSeen(check="corrupt", severity="error", message="cannot be decoded", count=1),
    FindingSeen(check="duplicates", severity="warning", message="2 are alike", count=2),
)


@pytest.mark.parametrize(
    ("update", "phase", "conditions"),
    [
        row(
            not_snapshotted("StoreMissing", "there is no Secret"),
            "Snapshotting",
            {"Ready": "False/StoreMissing", "Snapshotted": "False/StoreMissing", "ChecksPassed": "Unknown/StoreMissing"},
            id="there is no version yet",
        ),
        row(
            snapshotting("attempt 1 runs"),
            "Snapshotting",
            {"Ready": "False/Snapshotting", "Snapshotted": "False/Snapshotting", "ChecksPassed": "Unknown/Snapshotting"},
            id="an attempt is under way",
        ),
        row(
            snapshot_failed(CAUSE),
            "Failed",
            {"Ready": "False/BadData", "Snapshotted": "False/BadData", "ChecksPassed": "Unknown/BadData"},
            id="the snapshot was given up",
        ),
        row(
            snapshotted(V1, SAMPLES, True, ()),
            "Ready",
            {"Ready": "True/Snapshotted", "Snapshotted": "True/Snapshotted", "ChecksPassed": "True/ChecksPassed"},
            id="there is a version, and every check passed",
        ),
        row(
            snapshotted(V1, SAMPLES, False, FOUND),
            "Failed",
            {"Ready": "False/ChecksFailed", "Snapshotted": "True/Snapshotted", "ChecksPassed": "False/ChecksFailed"},
            id="there is a version, and a check failed",
        ),
    ],
)
def test_phase_and_conditions(update: StatusUpdate, phase: str, conditions: dict[str, str]) -> None:
    assert said(update) == (phase, conditions)
    assert update.events is EVENTS


def test_messages_have_the_figures_of_the_snapshot_and_the_errors_alone() -> None:
    passed, failed = snapshotted(V1, SAMPLES, True, FOUND), snapshotted(V1, None, False, FOUND)
    assert [condition.message for condition in passed.conditions] == [
        "1,234 samples in 2 classes, frozen as 1111111111111111",
        "1,234 samples in 2 classes, frozen as 1111111111111111",
        "every check passed",
    ]
    ready, frozen_as, checks = (condition.message for condition in failed.conditions)
    assert frozen_as == "samples, frozen as 1111111111111111"
    assert ready == checks
    assert ready.startswith("corrupt: cannot be decoded. Correct the sources")


def test_a_result_is_kept_with_every_figure() -> None:
    findings = (
        Finding(check="classBalance", severity="warning", message="a has most", count=1, samples=("a/1.png",)),
        Finding(check="corrupt", severity="error", message="cannot be decoded", count=30, samples=tuple(f"{n}.png" for n in range(21))),
    )
    result = SnapshotResult(
        seconds=1,
        manifest=V2,
        counts={"train": {"b": 1, "a": 3}, "test": {"a": 2}},
        classes=("a", "b"),
        samples=6,
        bytes=99,
        passed=False,
        findings=findings,
        findings_key="runs/findings.json",
    )
    seen = observed(**{**frozen(), "attempt": 2}, seen={"snapshot": StepSeen(stored=Stored(b"", result))})
    status = plan(seen, NOW).status
    assert status is not None
    kept = {name: status.get(name) for name in ("phase", "version", "versions", "passed", "samples", "findings", "findingsUri", "attempt")}
    assert kept == {
        "phase": "Failed",
        "version": V2,
        "versions": [
            {"version": V2, "attempt": 2, "samples": 6, "passed": False, "at": "2026-01-01T12:00:00Z"},
            {"version": V1, "attempt": 1, "samples": 3, "passed": True, "at": "2026-01-01T00:00:00Z"},
        ],
        "passed": False,
        "samples": {"total": 6, "bytes": 99, "classes": 2, "splits": {"train": 4, "test": 2}, "perClass": {"a": 5, "b": 1}},
        "findings": [
            {
                "check": "corrupt",
                "severity": "error",
                "message": "cannot be decoded",
                "count": 30,
                "samples": [f"{n}.png" for n in range(20)],
            },
            {"check": "classBalance", "severity": "warning", "message": "a has most", "count": 1, "samples": ["a/1.png"]},
        ],
        "findingsUri": "runs/findings.json",
        "attempt": 2,
    }
