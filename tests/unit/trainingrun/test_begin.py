from __future__ import annotations

from typing import Any

import pytest

from bramble.api.conditions import rfc3339
from bramble.kinds.trainingrun.policies.begin import begin
from tests.unit.trainingrun.seen import NODES, NOW, PIN, TRAINED_PACKAGE, ago, case, cause, condition, node, observed, remembered, training

STALL = cause("TryAgain")
GPUS = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
SHRINKS = {**GPUS, "engine": {"torchrun": {"nodes": 2, "minNodes": 1}}}


def between(spec: dict[str, Any] | None = None, nodes: Any = NODES, **status: Any) -> Any:
    return observed(spec, status={"dataset": PIN, **status}, nodes=nodes)


@pytest.mark.parametrize("seen", [case("an attempt runs", training()), case("it is trained", between(package=TRAINED_PACKAGE))])
def test_none_begins(seen: Any) -> None:
    assert begin(seen, NOW) is None


@pytest.mark.parametrize(
    ("seen", "number", "nodes", "cpu"),
    [
        case("the first", between(), 1, 2, True),
        case("on nodes that only simulate GPUs", between(GPUS), 1, 2, True),
        case("on nodes with GPUs", between(GPUS, (node("a", simulated=False),)), 1, 2, False),
        case("after a failure, at once", between(attempt=1, first_cause=cause("Error"), ended_at=rfc3339(NOW)), 2, 2, True),
        case("after a lost node, smaller", between(SHRINKS, NODES[:1], attempt=1, first_cause=cause("NodeLost")), 2, 1, True),
        case("after a failure, not smaller", between(SHRINKS, NODES[:1], attempt=1, first_cause=cause("Error")), 2, 2, True),
        case("after a stall, its time has come", between(attempt=4, stalls=1, first_cause=STALL, ended_at=rfc3339(ago(10))), 5, 2, True),
    ],
)  # fmt: skip
def test_the_next_is_decided_before_it_is_made(seen: Any, number: int, nodes: int, cpu: bool) -> None:
    plan = begin(seen, NOW)
    memory = remembered(plan)
    assert memory["attempt"] == number
    assert memory["current"] == {"number": number, "nodes": nodes, "at": rfc3339(NOW), "cpuAllowed": cpu}
    assert condition(plan) == ("False", "Starting")


@pytest.mark.parametrize(("stalls", "wait"), [(1, 10), (2, 20)])
def test_who_asked_for_time_gets_it(stalls: int, wait: int) -> None:
    plan = begin(between(attempt=4, stalls=stalls, first_cause=cause("TryAgain"), ended_at=rfc3339(ago(1))), NOW)
    assert plan is not None
    assert not plan.remember
    assert plan.wake_at is not None
    assert (plan.wake_at - NOW).total_seconds() == wait - 1


def test_no_time_is_left() -> None:
    plan = begin(between({"budgets": {"deadline": "1h"}}, spent_seconds=3600), NOW)
    assert remembered(plan)["outcome"]["reason"] == "DeadlineExceeded"
