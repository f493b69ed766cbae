"""The next attempt is decided on: when, with which number, and how large."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.conditions import rfc3339
from bramble.kinds.trainingrun.policies.begin import begin
from tests.unit.trainingrun.seen import (
    NODES,
    NOW,
    PIN,
    TRAINED_PACKAGE,
    ago,
    case,
    cause,
    condition,
    message,
    node,
    observed,
    remembered,
    training,
)

STALL = cause("TryAgain")
GPUS = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
SHRINKS = {**GPUS, "engine": {"torchrun": {"nodes": 2, "minNodes": 1}}}
REAL = (node("a", simulated=False),)


def between(spec: dict[str, Any] | None = None, nodes: Any = NODES, **status: Any) -> Any:
    """A run with a pinned dataset and no present attempt."""
    return observed(spec, status={"dataset": PIN, **status}, nodes=nodes)


def stalled(stalls: int, seconds: float) -> Any:
    """A run whose last attempt asked to be tried again so long ago."""
    return between(attempt=4, stalls=stalls, first_cause=STALL, ended_at=rfc3339(ago(seconds)))


@pytest.mark.parametrize(
    "seen", [case("an attempt is under way", training()), case("the run has trained", between(package=TRAINED_PACKAGE))]
)
def test_no_attempt_begins(seen: Any) -> None:
    assert begin(seen, NOW) is None


@pytest.mark.parametrize(
    ("seen", "number", "nodes", "cpu"),
    [
        case("the first attempt", between(), 1, 2, True),
        case("GPUs are requested, and all nodes are simulated", between(GPUS), 1, 2, True),
        case("GPUs are requested, and a node has them", between(GPUS, REAL), 1, 2, False),
        case("a failure: at once", between(attempt=1, first_cause=cause("Error"), ended_at=rfc3339(NOW)), 2, 2, True),
        case("a lost node: smaller", between(SHRINKS, NODES[:1], attempt=1, first_cause=cause("NodeLost")), 2, 1, True),
        case("a failure: not smaller", between(SHRINKS, NODES[:1], attempt=1, first_cause=cause("Error")), 2, 2, True),
        case("the first stall ended exactly 10 s ago", stalled(1, 10), 5, 2, True),
        case("the second stall ended exactly 20 s ago", stalled(2, 20), 5, 2, True),
        case("after a retry there are no stalls", stalled(0, 0), 5, 2, True),
    ],
)
def test_the_next_attempt_is_remembered_before_it_is_made(seen: Any, number: int, nodes: int, cpu: bool) -> None:
    plan = begin(seen, NOW)
    memory = remembered(plan)
    assert memory["attempt"] == number
    assert memory["current"] == {
        "number": number,
        "nodes": nodes,
        "at": rfc3339(NOW),
        "cpuAllowed": cpu,
        "deadlineSeconds": 24 * 3600,
    }
    assert condition(plan) == ("False", "Starting")
    assert ("fewer than the 2 wanted" in message(plan)) is (nodes < 2)


@pytest.mark.parametrize(
    ("seen", "wait"),
    [
        case("the first stall", stalled(1, 9), 1),
        case("the second stall waits twice as long", stalled(2, 9), 11),
        case("the first stall, just now", stalled(1, 0), 10),
    ],
)
def test_an_attempt_that_asked_to_be_tried_again_is_given_time(seen: Any, wait: int) -> None:
    plan = begin(seen, NOW)
    assert condition(plan) == ("False", "BetweenAttempts")
    assert "asked to be tried again later: TryAgain" in message(plan)
    assert plan is not None
    assert (plan.remember, plan.wake_at) == (False, ago(-wait))


@pytest.mark.parametrize(
    ("spent", "begins"),
    [case("a second is left", 3599, True), case("no second is left", 3600, False), case("more than all is spent", 3601, False)],
)
def test_the_deadline(spent: int, begins: bool) -> None:
    memory = remembered(begin(between({"budgets": {"deadline": "1h"}}, spent_seconds=spent), NOW))
    assert ("current" in memory) is begins
    assert memory.get("outcome", {}).get("reason") == (None if begins else "DeadlineExceeded")
