"""Steps: waiting, baking, going on, promoted."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.next_step import next_step
from tests.unit.rollout.rows import (
    AWAY,
    DONE,
    LONG_AGO,
    NODES,
    NOW,
    PAUSE,
    V1,
    V2,
    baking,
    canaries,
    device,
    kept,
    observed,
    out,
    ready,
    told,
)

row = pytest.param


@pytest.mark.parametrize(
    ("seen", "reason", "expected"),
    [
        row(observed(), "", {}, id="nothing is out"),
        row(told(canaries("a"), status=out(), steps=PAUSE), "PauseStep", {}, id="a pause waits"),
        row(told(canaries(), status=out()), "WaitingForNodes", {}, id="its node has not taken it yet"),
        row(told(canaries("a", silent=["a"]), status=out()), "WaitingForNodes", {}, id="its only node does not answer"),
        row(
            told(canaries("a"), status=out()),
            "Baking",
            {"stepStartedAt": "2026-11-21T12:00:00Z"},
            id="it serves, verified: the bake begins",
        ),
        row(told(canaries("a")), "Baking", {}, id="the bake is not over"),
        row(told(canaries("a"), status=baking(DONE)), "GuardrailsPassed", {"step": 1, "stepStartedAt": None}, id="over, and all is fine"),
        row(told(canaries("a", requests=50), status=baking(DONE)), "Undecided", {}, id="over, and undecided: hold"),
        row(
            told(canaries("a") | {"a": device("a", V2, attempt=2, age=20)}, status=baking(DONE)),
            "Silence",
            {},
            id="a canary may be lost: hold",
        ),
        row(told(canaries("a"), status=baking(DONE), fleet_hold=AWAY, hold=AWAY), "FleetMissing", {}, id="the fleet is away: hold"),
        row(told(canaries("a", requests=50), status=baking(LONG_AGO)), "Undecided", {}, id="past the deadline: pause, as is the default"),
        row(
            told(canaries("a", requests=50), status=baking(LONG_AGO), analysis={"onUndecided": "Promote"}),
            "Undecided",
            {"step": 1, "stepStartedAt": None},
            id="past the deadline: go on, if that is wanted",
        ),
        row(
            told(canaries("a"), status=baking(DONE, stable=None)),
            "FirstRollout",
            {"step": 1, "stepStartedAt": None},
            id="a first version goes on by time",
        ),
        row(
            told(canaries(*NODES), status=baking(DONE, step=2, baseline={"requests": 500, "nodes": 3, "members": 3}), on=NODES),
            "GuardrailsPassed",
            {"step": 3, "stepStartedAt": None, "candidate": None, "baseline": None, "stable": V2.ref, "lastGood": V1.ref},
            id="the last step is over: promoted",
        ),
    ],
)
def test_next_step(seen: Observed, reason: str, expected: dict[str, Any]) -> None:
    plan = next_step(seen, NOW)
    changes = kept(seen, plan)
    decision = changes.pop("decision", None)
    found = {name: value["ref"] if isinstance(value, dict) and "ref" in value else value for name, value in changes.items()}
    assert (ready(plan), found) == (reason, expected)
    assert (decision is not None) is ("step" in expected)


def test_entering_the_last_step_freezes_the_stable_counters() -> None:
    seen = told(canaries("a", "b"), status=baking(DONE, step=1), on=("a", "b"))
    changes = kept(seen, next_step(seen, NOW))
    baseline = changes["baseline"]
    assert (changes["step"], baseline["counts"]["requests"], baseline["nodes"]["errors"]) == (2, 400, 2)


def test_past_the_deadline_it_aborts_if_that_is_wanted() -> None:
    seen = told(canaries("a", requests=50), status=baking(LONG_AGO), analysis={"onUndecided": "Abort"})
    changes = kept(seen, next_step(seen, NOW))
    assert (changes["candidate"], changes["undone"]["reason"]) == (None, "Undecided")
