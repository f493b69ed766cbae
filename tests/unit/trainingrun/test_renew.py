"""An attempt of which no rank runs gives way to one that is made from what is wanted now."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.labels import APPLIED
from bramble.kinds.plan import manifest_digest
from bramble.kinds.trainingrun.engines.catalogue import engine_of
from bramble.kinds.trainingrun.plan import plan
from bramble.kinds.trainingrun.policies.renew import renew
from tests.unit.trainingrun.seen import NOW, attempt, case, condition, job, message, observed, pod, remembered, training

PULLS = {"reason": "ImagePullBackOff"}
NOWHERE = {"type": "PodScheduled", "status": "False", "message": "0/5 nodes are available: 5 Insufficient cpu."}
UNSCHEDULED = pod(1, node="", phase="Pending", conditions=(NOWHERE,), waiting={})


def refused(*pods: dict[str, Any], applied: str = "of other resources", failed: int = 0, suspend: bool = False, **more: Any) -> Any:
    """The API server refuses every pod, unless some are given."""
    made = job(suspend=suspend)
    made["metadata"]["annotations"] = {APPLIED: applied}
    made["status"]["failed"] = failed
    return training(attempt(*(pods or ({}, {})), job_=made), **more)


def fetched_without_image() -> dict[str, Any]:
    fetched, waits = pod(0, 0, container="fetch"), pod(0, waiting=PULLS)
    return {**waits, "status": {**fetched["status"], **waits["status"]}}


def digest(**more: Any) -> str:
    """Of the Job that would be made now."""
    seen = refused(**more)
    return next(
        manifest_digest(each.manifest)
        for each in engine_of(seen.spec).attempt_children(seen, seen.status.current)
        if each.manifest["kind"] == "Job"
    )


@pytest.mark.parametrize(
    "seen",
    [
        case("there is no attempt", observed()),
        case("it would be made so again", refused(applied=digest())),
        case("a rank runs and waits for the other: the attempt is released after a minute", refused(pod(0), {})),
        case("a rank fetches its data, which may take hours", refused(pod(0, container="fetch"), {})),
        case("a rank has fetched its data", refused(pod(0, 0, container="fetch"), {})),
        case("its pods are gone", refused(failed=1)),
        case("Kueue has given it room", refused(UNSCHEDULED, UNSCHEDULED, spec={"queueName": "gpu"})),
        case("Kueue holds it back", refused(suspend=True)),
    ],
)
def test_an_attempt_that_goes_on(seen: Any) -> None:
    assert renew(seen, NOW) is None


@pytest.mark.parametrize(
    "seen",
    [
        case("the chart was corrected", refused()),
        case("no node takes its pods", refused(UNSCHEDULED, UNSCHEDULED, failed=1)),
        case("its image cannot be pulled", refused(pod(0, waiting=PULLS), pod(1, waiting=PULLS), failed=1)),
        case("its own image cannot be pulled after the data was fetched", refused(fetched_without_image(), {}, failed=1)),
        case("the spec was corrected", refused(applied=digest(), spec={"jobs": {"resources": {"fetch": {"limits": {"cpu": "1"}}}}})),
    ],
)
def test_the_next_attempt_follows_at_once_and_nothing_is_charged(seen: Any) -> None:
    found = plan(seen, NOW)
    memory = remembered(found)
    assert "current" not in memory
    assert (memory["attempt"], memory.get("failures", 0), memory.get("disruptions", 0), memory.get("spentSeconds", 0)) == (1, 0, 0, 0)
    assert "released" not in memory, "the next attempt waits for nothing"
    assert condition(found) == ("False", "BetweenAttempts")
    assert "attempt 2 follows, no budget is charged" in message(found)
