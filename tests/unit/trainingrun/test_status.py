"""The phase and the conditions of a TrainingRun in each of its states."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.trainingrun import Outcome, Status
from bramble.kinds.status_update import StatusUpdate
from bramble.kinds.trainingrun.status import EVENTS, not_admitted, outcome, run_ended, spec_changed, under_way
from tests.unit.kinds.saying import said
from tests.unit.trainingrun.seen import NOW, PIN, case, evaluated

FRESH, PINNED = Status(), Status(dataset=PIN)
ENDED = Status(dataset=PIN, conditions=tuple({"type": type_, "status": "True"} for type_ in ("Complete", "Failed", "GatesPassed", "Other")))
REOPENED = {"Complete": "False/Starting", "Failed": "False/Starting", "GatesPassed": "Unknown/Starting"}


def end(reason: str, evaluation: Any = None) -> StatusUpdate:
    return run_ended(Outcome(reason=reason, message="so it ended", at=""), evaluation)


@pytest.mark.parametrize(
    ("update", "phase", "conditions"),
    [
        case(
            "it waits for its dataset",
            not_admitted(FRESH, "DatasetMissing", "create it"),
            "Pending",
            {"Ready": "False/DatasetMissing", "Admitted": "False/DatasetMissing"},
        ),
        case(
            "its spec cannot be used",
            not_admitted(FRESH, "InvalidSpec", "correct it"),
            "Failed",
            {"Ready": "False/InvalidSpec", "Admitted": "False/InvalidSpec", "Failed": "True/InvalidSpec"},
        ),
        case(
            "its spec cannot be used, and it had ended",
            not_admitted(ENDED, "InvalidSpec", "correct it"),
            "Failed",
            {
                "Ready": "False/InvalidSpec",
                "Admitted": "False/InvalidSpec",
                "Complete": "False/InvalidSpec",
                "GatesPassed": "Unknown/InvalidSpec",
                "Failed": "True/InvalidSpec",
            },
        ),
        case(
            "its spec is not what it was admitted with",
            spec_changed(PINNED, "write it back"),
            "Failed",
            {"Ready": "False/InvalidSpec", "Admitted": "True/Pinned", "Running": "False/InvalidSpec", "Failed": "True/InvalidSpec"},
        ),
        case(
            "an attempt starts",
            under_way(PINNED, "Training", "Starting", "it starts"),
            "Training",
            {"Ready": "False/Starting", "Admitted": "True/Pinned", "Running": "False/Starting"},
        ),
        case(
            "every rank runs",
            under_way(PINNED, "Training", "Training", "it trains", running=True),
            "Training",
            {"Ready": "False/Training", "Admitted": "True/Pinned", "Running": "True/Training"},
        ),
        case(
            "it is suspended before its dataset is pinned",
            under_way(FRESH, "Suspended", "Suspended", "by spec.suspend"),
            "Suspended",
            {"Ready": "False/Suspended", "Running": "False/Suspended"},
        ),
        case(
            "it is tried again after it had ended",
            under_way(ENDED, "Training", "Starting", "it starts"),
            "Training",
            {"Ready": "False/Starting", "Admitted": "True/Pinned", "Running": "False/Starting", **REOPENED},
        ),
        case(
            "it has to be admitted again after it had ended",
            not_admitted(ENDED, "Starting", "it starts"),
            "Pending",
            {"Ready": "False/Starting", "Admitted": "False/Starting", **REOPENED},
        ),
        case(
            "it succeeded",
            end("Succeeded", evaluated(("f1", 0.9, True))),
            "Complete",
            {"Ready": "True/Succeeded", "Running": "False/Succeeded", "Complete": "True/Succeeded", "GatesPassed": "True/GatesPassed"},
        ),
        case(
            "a gate was missed",
            end("GatesFailed", evaluated(("f1", 0.9, True), ("f1 of ad", 0.1, False))),
            "Failed",
            {
                "Ready": "False/GatesFailed",
                "Running": "False/GatesFailed",
                "Failed": "True/GatesFailed",
                "GatesPassed": "False/GatesFailed",
            },
        ),
        case(
            "it failed before it was evaluated",
            end("SpecError"),
            "Failed",
            {"Ready": "False/SpecError", "Running": "False/SpecError", "Failed": "True/SpecError"},
        ),
    ],
)
def test_phase_and_conditions(update: StatusUpdate, phase: str, conditions: dict[str, str]) -> None:
    assert said(update) == (phase, conditions)
    assert update.events is EVENTS


def test_how_the_run_ended_is_kept_with_its_time() -> None:
    assert outcome("SpecError", "wrong", NOW) == Outcome(reason="SpecError", message="wrong", at="2026-01-02T03:04:05Z")
