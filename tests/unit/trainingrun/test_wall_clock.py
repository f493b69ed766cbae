"""A run is planned by the cluster's time: nothing about it changes if the wall clock of the leader is set hours ahead, or back."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from bramble.api.conditions import rfc3339
from bramble.engine.clock import ClusterClock
from bramble.kinds.trainingrun.plan import plan
from tests.unit.engine.replica import Time
from tests.unit.trainingrun.seen import NOW, PIN, ago, attempt, case, job, node, observed, pod, remembered, training

HOURS = timedelta(hours=6)
STUCK = {"reason": "ImagePullBackOff", "message": "not found"}


class Leader:
    """Its wall clock is wrong by `error`; the API server has told it the time."""

    def __init__(self) -> None:
        self.error = timedelta()
        self.clock = ClusterClock(Time(), lambda: NOW + self.error)
        self.clock.heard(format_datetime(NOW, usegmt=True), 0.01)

    def plans(self, seen: Any) -> tuple[Any, datetime]:
        made = plan(seen, self.clock.now())
        return made, self.clock.now()


def ended(seconds: float, **memory: Any) -> Any:
    """Between two attempts: the last one ended so long ago."""
    return observed(status={"dataset": PIN, "attempt": 1, "ended_at": rfc3339(ago(seconds)), **memory}, nodes=(node("gpu-1"),))


SILENT = (node("gpu-1", ready=False, since=5), node("gpu-2"))


@pytest.mark.parametrize(
    "seen",
    [
        case("a node has been silent for 5 s, and may answer again", training(nodes=SILENT)),
        case("a pod lacks its image for ten seconds", training(attempt(pod(0), pod(1, waiting=STUCK), job_=job(started=10)))),
        case("the next attempt waits after one that was released", ended(5, released={"times": 3, "message": "x"})),
        case("an attempt ends, and its time is charged", training(attempt(pod(0), pod(1, 1)))),
        case("an attempt is suspended, and its time is charged", training(attempt(), status={"released": None})),
    ],
)
def test_a_jump_of_the_wall_clock_changes_no_plan(seen: Any) -> None:
    leader = Leader()
    expected = plan(seen, NOW)
    for error in (HOURS, -HOURS, timedelta()):
        leader.error = error
        assert leader.plans(seen) == (expected, NOW)


@pytest.mark.parametrize("error", [HOURS, -HOURS], ids=["ahead", "back"])
def test_the_deadline_is_charged_for_the_time_that_passed(error: timedelta) -> None:
    leader = Leader()
    leader.error = error
    made, _ = leader.plans(training(attempt(pod(0), pod(1, 1), job_=job(started=600))))
    assert remembered(made)["spentSeconds"] == 600
