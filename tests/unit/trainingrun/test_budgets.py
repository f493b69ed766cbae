"""What an ended attempt costs, and when no attempt follows."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.contracts.cause import Cause
from bramble.kinds.trainingrun.budgets import charge, close_attempt
from bramble.kinds.trainingrun.observed import Observed
from tests.unit.trainingrun.seen import NOW, attempt, case, cause, job, progress, training

BUDGETS = {"budgets": {"failures": 1, "disruptions": 2}}
FAILED = ("FailureTarget", "DeadlineExceeded")
STALLED = cause("TryAgain", 0, exit_code=75)


def seen(reached: int = 3, **status: Any) -> Observed:
    """An attempt that has reached this epoch; `epoch` is how far earlier ones got."""
    return training(attempt(progress=progress(reached)), spec=BUDGETS, status=status)


@pytest.mark.parametrize(
    ("run", "why", "counters", "over"),
    [
        case("a first failure", seen(), cause("Error", 1), (1, 0, 0), ""),
        case("a failure too many", seen(failures=1), cause("Error", 1), (2, 0, 0), "FailureBudgetSpent"),
        case("a kill is a failure", seen(), cause("Signal", 1), (1, 0, 0), ""),
        case("a lost node", seen(), cause("NodeLost", 1), (0, 1, 0), ""),
        case("a lost node too many", seen(disruptions=2), cause("NodeLost", 1), (0, 3, 0), "DisruptionBudgetSpent"),
        case("a spec error is final", seen(), cause("SpecError", 0), (0, 0, 0), "SpecError"),
        case("bad data is final", seen(failures=1), cause("BadData", 0), (1, 0, 0), "BadData"),
        case("asked for time, and had got further", seen(), STALLED, (0, 1, 0), ""),
        case("asked for time, and got nowhere", seen(epoch=3), STALLED, (0, 1, 1), ""),
        case("nowhere for the second time", seen(epoch=3, stalls=1), STALLED, (0, 1, 2), ""),
        case("nowhere for the third time is a failure", seen(epoch=3, stalls=2), STALLED, (1, 0, 0), ""),
        case("something else in between starts the count again", seen(epoch=3, stalls=2), cause("NodeLost", 0), (0, 1, 0), ""),
        case("a drained pod is no stall", seen(epoch=3, stalls=2), cause("TryAgain", 0), (0, 1, 0), ""),
    ],
)
def test_charge(run: Observed, why: Cause, counters: tuple[int, int, int], over: str) -> None:
    charged = charge(run, why)
    assert (charged.memory["failures"], charged.memory["disruptions"], charged.memory["stalls"]) == counters
    assert charged.reason == over
    assert why.message in charged.message
    assert charged.memory["first_cause"] == why


@pytest.mark.parametrize(
    ("run", "spent", "epoch"),
    [
        case("time runs from the Job's start", training(attempt(job_=job(started=90)), status={"spent_seconds": 10}), 100, 0),
        case("to the Job's own end, when this clock is behind", training(attempt(job_=job(FAILED, started=58, since=-2))), 60, 0),
        case("and when this operator comes late", training(attempt(job_=job(FAILED, started=3600, since=3540))), 60, 0),
        case("a Job that never started took none", training(attempt(job_={**job(), "status": {}})), 0, 0),
        case("the furthest epoch is kept", training(attempt(progress=progress(4), job_=job(started=0)), status={"epoch": 9}), 0, 9),
        case("a further one replaces it", training(attempt(progress=progress(12), job_=job(started=0)), status={"epoch": 9}), 0, 12),
    ],
)
def test_close_attempt(run: Observed, spent: int, epoch: int) -> None:
    memory = close_attempt(run, NOW)
    assert (memory["current"], memory["spent_seconds"], memory["epoch"], memory["ended_at"]) == (None, spent, epoch, "2026-01-02T03:04:05Z")
