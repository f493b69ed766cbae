"""How a candidate goes from step to step."""

from __future__ import annotations

from datetime import timedelta
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
    V3,
    baking,
    canaries,
    conditions,
    device,
    kept,
    observed,
    out,
    ready,
    with_candidate,
)

row = pytest.param


TOO_FEW = canaries("a", requests=50)
"""100 events are needed."""
SILENT_FOR_20_S = canaries("a") | {"a": device("a", V2, attempt=2, age=20)}
EXACTLY = timedelta(seconds=10)
"""How long a step is watched."""
DEADLINE = timedelta(hours=1)
SECOND = timedelta(seconds=1)
NEXT: dict[str, Any] = {"step": 1, "stepStartedAt": None}


@pytest.mark.parametrize(
    ("seen", "reason", "expected"),
    [
        row(observed(), "", {}, id="no version is being tried"),
        row(with_candidate(canaries("a"), status=out(), steps=PAUSE), "PauseStep", {}, id="a pause waits for a person"),
        row(with_candidate(canaries(), status=out()), "WaitingForNodes", {}, id="the step's node has not taken the candidate yet"),
        row(with_candidate(canaries("a", silent=["a"]), status=out()), "WaitingForNodes", {}, id="the step's only node does not answer"),
        row(
            with_candidate(canaries("a"), status=out()),
            "Baking",
            {"stepStartedAt": "2026-11-21T12:00:00Z"},
            id="the node serves the candidate, so it is watched from now on",
        ),
        row(with_candidate(canaries("a"), status=baking(EXACTLY - SECOND)), "Baking", {}, id="the bake has one second left"),
        row(with_candidate(canaries("a"), status=baking(EXACTLY)), "StepDone", NEXT, id="the bake ends exactly now"),
        row(with_candidate(canaries("a"), status=baking(DONE)), "StepDone", NEXT, id="the bake is over and every guardrail passed"),
        row(with_candidate(TOO_FEW, status=baking(DONE)), "CollectingEvidence", {}, id="the bake is over and a guardrail is undecided"),
        row(with_candidate(SILENT_FOR_20_S, status=baking(DONE)), "Silence", {}, id="a node of the step may be lost"),
        row(
            with_candidate(canaries("a"), status=baking(DONE), fleet_blocker=AWAY, blocker=AWAY), "FleetMissing", {}, id="there is no Fleet"
        ),
        row(with_candidate(TOO_FEW, status=baking(DEADLINE - SECOND)), "CollectingEvidence", {}, id="the deadline is one second away"),
        row(with_candidate(TOO_FEW, status=baking(DEADLINE)), "Undecided", {}, id="the deadline is exactly now, so it pauses"),
        row(with_candidate(TOO_FEW, status=baking(LONG_AGO)), "Undecided", {}, id="the deadline has passed, so it pauses"),
        row(
            with_candidate(TOO_FEW, status=baking(LONG_AGO), analysis={"onUndecided": "Promote"}),
            "StepDone",
            NEXT,
            id="the deadline has passed and the spec says to go on",
        ),
        row(with_candidate(canaries("a"), status=baking(DONE, stable=None)), "StepDone", NEXT, id="a first version goes on by time alone"),
        row(
            with_candidate(canaries(*NODES), status=baking(DONE, step=2, baseline={"counts": {"requests": 500}, "members": 3}), on=NODES),
            "Promoted",
            {"step": 3, "stepStartedAt": None, "candidate": None, "baseline": None, "stable": V2.ref, "lastGood": V1.ref},
            id="the last step is over, so the candidate is promoted",
        ),
    ],
)
def test_next_step(seen: Observed, reason: str, expected: dict[str, Any]) -> None:
    plan = next_step(seen, NOW)
    changes = kept(seen, plan)
    decision = changes.pop("decision", None)
    found = {name: value["ref"] if isinstance(value, dict) and "ref" in value else value for name, value in changes.items()}
    assert ready(plan) == reason
    assert found == expected
    assert (decision is not None) is ("step" in expected), "a step that ends leaves a decision"


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        row(with_candidate(canaries("a"), status=baking(DONE)), "GuardrailsPassed", id="every guardrail passed"),
        row(with_candidate(canaries("a"), status=baking(DONE, stable=None)), "FirstRollout", id="a first version went on by time"),
        row(
            with_candidate(TOO_FEW, status=baking(LONG_AGO), analysis={"onUndecided": "Promote"}),
            "Undecided",
            id="the spec said to go on undecided",
        ),
    ],
)
def test_a_decision_says_why_the_step_ended(seen: Observed, why: str) -> None:
    assert kept(seen, next_step(seen, NOW))["decision"]["reason"] == why


def test_when_the_last_step_begins_the_stable_counters_are_frozen() -> None:
    seen = with_candidate(canaries("a", "b"), status=baking(DONE, step=1), on=("a", "b"))
    changes = kept(seen, next_step(seen, NOW))
    assert changes["step"] == 2
    assert changes["baseline"]["counts"]["requests"] == 400
    assert changes["baseline"]["nodes"]["errors"] == 2


def test_past_the_deadline_it_undoes_if_the_spec_says_so() -> None:
    seen = with_candidate(TOO_FEW, status=baking(LONG_AGO), analysis={"onUndecided": "Abort"})
    plan = next_step(seen, NOW)
    changes = kept(seen, plan)
    assert changes["candidate"] is None
    assert changes["undone"]["reason"] == "Undecided"
    assert conditions(plan)["Ready"] == "False/Undone"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        row(
            with_candidate(canaries("a"), status=out(), steps=PAUSE), [("Normal", "PauseStep")], id="a pause of the spec was to be expected"
        ),
        row(with_candidate(TOO_FEW, status=baking(DONE)), [], id="a step that collects evidence is no event"),
        row(with_candidate(TOO_FEW, status=baking(LONG_AGO)), [("Warning", "Undecided")], id="a step that stays undecided needs a person"),
        row(with_candidate(canaries("a"), status=baking(DONE)), [("Normal", "StepDone")], id="a step that ended"),
        row(with_candidate(SILENT_FOR_20_S, status=baking(DONE)), [], id="a silent node may yet answer"),
        row(
            with_candidate(TOO_FEW, status=baking(LONG_AGO), analysis={"onUndecided": "Abort"}),
            [("Warning", "Undone")],
            id="an undo needs a person",
        ),
    ],
)
def test_events(seen: Observed, expected: list[tuple[str, str]]) -> None:
    plan = next_step(seen, NOW)
    assert plan is not None
    assert [(event.type, event.reason) for event in plan.events] == expected


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        row(
            with_candidate(canaries(), status=out()),
            "step 1: waiting for a to serve digits-2-0-0",
            id="the node has not reported anything about it",
        ),
        row(
            with_candidate(canaries("a", silent=["a"]), status=out()),
            "step 1: no node of a serves digits-2-0-0: they do not answer, or gave it up",
            id="the only node does not answer",
        ),
        row(
            with_candidate({node: device(node, V3, attempt=2) for node in NODES}, status=out(), on=()),
            "step 1: no node can take the candidate: it must answer, serve the stable version and have room on its disk",
            id="no node is eligible",
        ),
        row(with_candidate(canaries("a")), "step 1: watching its nodes for 5 s more", id="the bake is under way"),
        row(
            with_candidate(SILENT_FOR_20_S, status=baking(DONE)),
            "step 1 waits: a did not report for more than 15 s and may be lost",
            id="a node may be lost",
        ),
        row(
            with_candidate(TOO_FEW, status=baking(DONE)),
            "step 1 waits until every guardrail is decided: errors: 50 of 100 requests so far on candidate nodes",
            id="a guardrail is undecided",
        ),
        row(
            with_candidate(TOO_FEW, status=baking(LONG_AGO)),
            "undecided for 1h: errors: 50 of 100 requests so far on candidate nodes; request resume to watch again, or skip",
            id="the deadline has passed",
        ),
    ],
)
def test_messages_say_what_the_step_waits_for(seen: Observed, message: str) -> None:
    plan = next_step(seen, NOW)
    assert plan is not None
    assert plan.status is not None
    found = {condition["type"]: condition["message"] for condition in plan.status["conditions"]}["Ready"]
    assert found.startswith(message)
    assert len(found) < 200


SOON = timedelta(seconds=5)


@pytest.mark.parametrize(
    ("seen", "after"),
    [
        row(with_candidate(canaries("a"), status=baking(DONE), fleet_blocker=AWAY, blocker=AWAY), SOON, id="there is no Fleet"),
        row(with_candidate(canaries("a"), status=out(), steps=PAUSE), SOON, id="a pause waits for a person"),
        row(with_candidate(canaries(), status=out()), SOON, id="a node has not taken the candidate yet"),
        row(with_candidate(canaries("a"), status=baking(SECOND)), SOON, id="the bake lasts longer than that"),
        row(with_candidate(canaries("a"), status=baking(EXACTLY - 2 * SECOND)), 2 * SECOND, id="the bake ends before"),
        row(with_candidate(SILENT_FOR_20_S, status=baking(DONE)), SOON, id="a node may be lost"),
        row(with_candidate(TOO_FEW, status=baking(DONE)), SOON, id="a guardrail is undecided"),
        row(with_candidate(TOO_FEW, status=baking(DEADLINE - 2 * SECOND)), 2 * SECOND, id="the deadline is before"),
        row(with_candidate(TOO_FEW, status=baking(LONG_AGO)), SOON, id="the deadline has passed"),
    ],
)
def test_it_looks_again_in_time(seen: Observed, after: timedelta) -> None:
    plan = next_step(seen, NOW)
    assert plan is not None
    assert plan.wake_at == NOW + after


def test_a_paused_rollout_is_not_progressing() -> None:
    paused = next_step(with_candidate(canaries("a"), status=out(), steps=PAUSE), NOW)
    held = {name: value for name, value in conditions(paused).items() if name in ("Ready", "Progressing", "Paused")}
    assert held == {"Ready": "False/PauseStep", "Progressing": "False/PauseStep", "Paused": "True/PauseStep"}


def test_an_undo_is_kept_with_all_that_it_was_decided_by() -> None:
    seen = with_candidate(TOO_FEW, status=baking(LONG_AGO), analysis={"onUndecided": "Abort"})
    changes = kept(seen, next_step(seen, NOW))
    message = "undecided for 1h: errors: 50 of 100 requests so far on candidate nodes"
    undone = {"ref": V2.ref, "uid": V2.uid, "attempt": 2, "reason": "Undecided", "message": message, "at": "2026-11-21T12:00:00Z"}
    assert changes["undone"] == undone
    decided = {"action": "Undo", "reason": "Undecided", "message": message, "at": undone["at"], "attempt": 2, "step": 0}
    assert {name: changes["decision"][name] for name in decided} == decided
    assert (changes["decision"]["stable"], changes["decision"]["candidate"]) == (V1.ref, V2.ref)
    assert changes["decision"]["judgement"]["verdict"] == "Undecided"
    assert changes["decision"]["candidateCounters"]["counts"] == {"requests": 50}
    assert changes["decision"]["stableCounters"]["counts"] == {"requests": 150}
    assert [rule["metric"] for rule in changes["decision"]["rules"]] == ["errors"]
