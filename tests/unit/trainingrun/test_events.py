"""Which events a run leaves: one for each thing that happened, and a Warning only for what needs a person."""

from __future__ import annotations

import pytest

from bramble.kinds.trainingrun.status import EVENTS
from tests.unit.trainingrun.seen import case
from tests.unit.trainingrun.test_convergence import cluster, live_on
from tests.unit.trainingrun.world import End

ADMITTED = ("Normal", "Pinned")
STARTED = ("Normal", "Starting")
TRAINED = ("Normal", "Trained")
ATTEMPT_FAILED = ("Normal", "AttemptFailed")


@pytest.mark.parametrize(
    ("ends", "passes", "events"),
    [
        case("a run without any trouble", ["result"], True, [ADMITTED, STARTED, TRAINED, ("Normal", "Succeeded")]),
        case(
            "an attempt failed, and the next one succeeded",
            ["error", "result"],
            True,
            [ADMITTED, STARTED, ATTEMPT_FAILED, STARTED, TRAINED, ("Normal", "Succeeded")],
        ),
        case(
            "two nodes were lost",
            ["lost", "lost", "result"],
            True,
            [ADMITTED, STARTED, ATTEMPT_FAILED, STARTED, ATTEMPT_FAILED, STARTED, TRAINED, ("Normal", "Succeeded")],
        ),
        case("a gate was missed", ["result"], False, [ADMITTED, STARTED, TRAINED, ("Warning", "GatesFailed")]),
        case("the spec is wrong", ["final"], True, [ADMITTED, STARTED, ("Warning", "SpecError")]),
        case(
            "the failures are used up",
            ["error"],
            True,
            [ADMITTED, STARTED, ATTEMPT_FAILED, STARTED, ("Warning", "FailureBudgetSpent")],
        ),
    ],
)
async def test_events(ends: list[End], passes: bool, events: list[tuple[str, str]]) -> None:
    world = cluster(ends, passes)
    await live_on(world, set())
    found = [event for event in world.api.of_kind("Event") if event["regarding"]["kind"] == "TrainingRun"]
    assert [(event["type"], event["reason"]) for event in found] == events


def test_what_the_cluster_recovers_from_by_itself_is_no_warning() -> None:
    """A Warning is for a person. After these reasons the run goes on, or is where its user wants it."""
    recovers = {"Pinned", "Starting", "Queued", "Suspended", "AttemptFailed", "Trained", "Succeeded"}
    assert {reason for reason, type_ in EVENTS.items() if type_ == "Normal"} == recovers
