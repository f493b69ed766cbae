"""What an ended attempt costs, and when no attempt follows."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.contracts.cause import Cause
from bramble.kinds.trainingrun.attempt import AttemptSeen
from bramble.kinds.trainingrun.budgets import charge, close_attempt, deadline_exceeded, seconds_left
from bramble.kinds.trainingrun.observed import Observed
from tests.unit.trainingrun.seen import NOW, attempt, case, cause, job, observed, progress, training

BUDGETS = {"budgets": {"failures": 1, "disruptions": 2}}
FAILED = ("FailureTarget", "DeadlineExceeded")
STALLED = cause("TryAgain", 0, exit_code=75)


def seen(reached: int = 3, **status: Any) -> Observed:
    """An attempt that has reached this epoch; `epoch` is how far earlier ones got."""
    return training(attempt(progress=progress(reached)), spec=BUDGETS, status=status)


@pytest.mark.parametrize(
    ("run", "why", "counters"),
    [
        case("a first failure", seen(), cause("Error", 1), (1, 0, 0)),
        case("a kill is a failure", seen(), cause("Signal", 1), (1, 0, 0)),
        case("a lost node is a disruption", seen(), cause("NodeLost", 1), (0, 1, 0)),
        case("the last disruption that is allowed", seen(disruptions=1), cause("NodeLost", 1), (0, 2, 0)),
        case("a stall that had got further than earlier attempts", seen(), STALLED, (0, 1, 0)),
        case("a stall that got as far as earlier attempts", seen(epoch=3), STALLED, (0, 1, 1)),
        case("a stall that got one epoch further", seen(4, epoch=3, stalls=2), STALLED, (0, 1, 0)),
        case("the second stall in a row", seen(epoch=3, stalls=1), STALLED, (0, 1, 2)),
        case("the third stall in a row is a failure", seen(epoch=3, stalls=2), STALLED, (1, 0, 0)),
        case("another cause in between resets the stalls", seen(epoch=3, stalls=2), cause("NodeLost", 0), (0, 1, 0)),
        case("a drained pod is no stall", seen(epoch=3, stalls=2), cause("TryAgain", 0), (0, 1, 0)),
        case("a stall without any progress", training(spec=BUDGETS), STALLED, (0, 1, 1)),
    ],
)
def test_another_attempt_follows(run: Observed, why: Cause, counters: tuple[int, int, int]) -> None:
    charged = charge(run, why)
    assert (charged.memory["failures"], charged.memory["disruptions"], charged.memory["stalls"]) == counters
    assert charged.reason == ""
    assert charged.memory["first_cause"] == why
    assert why.message in charged.message
    assert "Attempt 2 follows" in charged.message


@pytest.mark.parametrize(
    ("why", "left"),
    [
        case("a failure", cause("Error", 1), "0 failures and 2 disruptions are left"),
        case("a disruption", cause("NodeLost", 1), "1 failures and 1 disruptions are left"),
    ],
)
def test_the_message_says_what_is_left(why: Cause, left: str) -> None:
    assert charge(seen(), why).message.endswith(left)


@pytest.mark.parametrize(
    ("run", "why", "counters", "reason", "advice"),
    [
        case("one failure too many", seen(failures=1), cause("Error", 1), (2, 0), "FailureBudgetSpent", "spec.budgets.failures allows 1"),
        case("one disruption too many", seen(disruptions=2), cause("NodeLost", 1), (0, 3), "DisruptionBudgetSpent", "allows 2"),
        case("a spec error is final", seen(), cause("SpecError", 0), (0, 0), "SpecError", "Another attempt would fail in the same way"),
        case("bad data is final", seen(failures=1), cause("BadData", 0), (1, 0), "BadData", "Another attempt would fail in the same way"),
    ],
)
def test_no_attempt_follows(run: Observed, why: Cause, counters: tuple[int, int], reason: str, advice: str) -> None:
    charged = charge(run, why)
    assert (charged.memory["failures"], charged.memory["disruptions"]) == counters
    assert charged.reason == reason
    assert why.message in charged.message
    assert advice in charged.message


@pytest.mark.parametrize(
    ("run", "spent"),
    [
        case("time runs from the Job's start", training(attempt(job_=job(started=90)), status={"spent_seconds": 10}), 100),
        case("the Job's own end counts when this clock is behind", training(attempt(job_=job(FAILED, started=58, since=-2))), 60),
        case("the Job's own end counts when the operator comes late", training(attempt(job_=job(FAILED, started=3600, since=3540))), 60),
        case("a Job that never started took no time", training(attempt(job_={**job(), "status": {}})), 0),
        case("a Job that is not there took no time", training(AttemptSeen(1, 2), status={"spent_seconds": 10}), 10),
        case("a Job that starts in the future took no time", training(attempt(job_=job(started=-5))), 0),
        case("without a present attempt no time is added", observed(status={"spent_seconds": 10}), 10),
    ],
)
def test_the_time_that_an_attempt_took(run: Observed, spent: int) -> None:
    memory = close_attempt(run, NOW)
    assert memory["spent_seconds"] == spent
    assert (memory["current"], memory["ended_at"]) == (None, "2026-01-02T03:04:05Z")


@pytest.mark.parametrize(
    ("reached", "before", "kept"),
    [
        case("the attempt reported nothing", None, 9, 9),
        case("no attempt has reported anything", None, 0, 0),
        case("the attempt got less far", 4, 9, 9),
        case("the attempt got further", 12, 9, 12),
    ],
)
def test_the_furthest_epoch(reached: int | None, before: int, kept: int) -> None:
    present = attempt(progress=progress(reached) if reached is not None else None)
    assert close_attempt(training(present, status={"epoch": before}), NOW)["epoch"] == kept


@pytest.mark.parametrize(
    ("budgets", "spent", "left"),
    [
        case("a day by default: a rank that hangs does not hold its GPU for ever", {}, 0, 24 * 3600),
        case("some time is left", {"deadline": "1m"}, 59, 1),
        case("no time is left", {"deadline": "1m"}, 60, 0),
        case("the deadline was lowered below what is spent", {"deadline": "1m"}, 90, -30),
        case("a deadline with milliseconds", {"deadline": "1s500ms"}, 1, 0.5),
    ],
)
def test_seconds_left(budgets: dict[str, Any], spent: int, left: float) -> None:
    assert seconds_left(observed({"budgets": budgets}).spec, spent) == left


def test_the_deadline_is_named_with_what_was_spent() -> None:
    found = deadline_exceeded(observed({"budgets": {"deadline": "1m"}}).spec, 61, NOW)
    assert (found.reason, found.at) == ("DeadlineExceeded", "2026-01-02T03:04:05Z")
    assert "1m in all, and they ran 61 s: raise it" in found.message
