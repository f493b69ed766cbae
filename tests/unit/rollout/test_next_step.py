"""How a candidate goes from step to step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import ANY

import pytest

from bramble.contracts.report import CandidateState
from bramble.guardrails.lost import LOST
from bramble.kinds.rollout.analysis import Judgement
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.next_step import end_step, next_step
from tests.unit.rollout.rows import (
    AWAY,
    DONE,
    LONG_AGO,
    NODES,
    NOW,
    PAUSE,
    STEPS,
    V1,
    V2,
    V3,
    ago,
    baking,
    canaries,
    conditions,
    counts,
    device,
    digest,
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
SECOND_STEP = {"nodes": "50%", "bake": "10s", "paused": False, "alike": 0}
LAST_STEP = {"nodes": "100%", "bake": "10s", "paused": False, "alike": 0}
NEXT: dict[str, Any] = {"step": 1, "begun": SECOND_STEP, "stepStartedAt": None, "waitingSince": "2026-11-21T12:00:00Z"}


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
            {"stepStartedAt": "2026-11-21T12:00:00Z", "watched": 1},
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
            with_candidate(canaries(*NODES), status=baking(DONE, step=2), on=NODES),
            "Promoted",
            {
                "begun": None,
                "step": 3,
                "stepStartedAt": None,
                "waitingSince": None,
                "candidate": None,
                "stable": V2.ref,
                "lastGood": V1.ref,
                "promotedAt": ago(timedelta()),
                "history": ANY,
            },
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


FULL = CandidateState(package=digest("2.0.0"), state="downloading", message="the disk is full")
GIVEN_UP = CandidateState(package=digest("2.0.0"), state="abandoned", message="the gateway did not answer for 600 s")
STUCK = {"d": device("d", V1, attempt=2, state=FULL)}
NO_LONGER = {node: seen for node, seen in canaries("a", "b").items() if node in "cd"} | {
    node: device(node, V2, attempt=2, counts=[counts(V2, "candidate")], served=timedelta(seconds=3)) for node in "ab"
}
"""Both canaries were restarted three seconds ago."""
GRACE_OVER = {"waiting_since": ago(timedelta(minutes=10))}
DAY = {"waiting_since": ago(timedelta(days=1))}
FAILING = canaries(*NODES, errors=5)


def last(*serving: str, **changes: Any) -> dict[str, Any]:
    """The last step, in which d is stuck with a full disk."""
    reports = canaries(*serving) | STUCK
    return {"reports": reports, "on": NODES, "status": out(step=2, **changes)}


def passed(*nodes: str, **more: Any) -> dict[str, Any]:
    """The memory of a step that goes on without these nodes."""
    return {"passedOver": dict.fromkeys(nodes, "2026-11-21T12:00:00Z"), **more}


WATCHED = {"stepStartedAt": "2026-11-21T12:00:00Z"}
UNWATCHED = {"stepStartedAt": None, "waitingSince": "2026-11-21T12:00:00Z"}


@pytest.mark.parametrize(
    ("seen", "reason", "expected"),
    [
        row(with_candidate(**last("a", "b", "c")), "WaitingForNodes", {}, id="the last step waits for a node with a full disk"),
        row(
            with_candidate(**last("a", "b", "c", **GRACE_OVER)),
            "Baking",
            passed("d", **WATCHED, watched=3),
            id="after the grace the last step goes on without it",
        ),
        row(
            with_candidate(**last("a", **GRACE_OVER)), "WaitingForNodes", {}, id="the last step does not go on with a quarter of the fleet"
        ),
        row(with_candidate(**last("a", **DAY)), "Undecided", {}, id="at the deadline the last step is undecided"),
        row(with_candidate(**last("a", **DAY), analysis={"onUndecided": "Promote"}), "Undecided", {}, id="and is not promoted unwatched"),
        row(
            with_candidate(canaries(), status=out(**GRACE_OVER)),
            "WaitingForNodes",
            passed("a"),
            id="after the grace another canary takes the place of one that does not take the version",
        ),
        row(
            with_candidate(canaries(), status=out(waiting_since=ago(timedelta(minutes=25)), passed_over={"b": ago(timedelta(minutes=9))})),
            "WaitingForNodes",
            {},
            id="the other canary has as much time",
        ),
        row(with_candidate(canaries(), status=out(**DAY, passed_over={"a": ago(SECOND)})), "Undecided", {}, id="but the deadline stays"),
        row(
            with_candidate(canaries("a", silent=NODES), status=out(**DAY), on=()),
            "Undecided",
            {},
            id="no node can take the candidate for longer than the deadline",
        ),
        row(
            with_candidate(canaries(), status=out(waiting_since="")),
            "WaitingForNodes",
            {"waitingSince": "2026-11-21T12:00:00Z"},
            id="a step that an earlier version began waits from now on",
        ),
        row(
            with_candidate(canaries() | {"a": device("a", attempt=2, state=GIVEN_UP)}, status=baking()),
            "WaitingForNodes",
            passed("a", **UNWATCHED),
            id="the only canary gave the version up, so another one takes its place and is watched from the beginning",
        ),
        row(
            with_candidate(canaries("a") | {"b": device("b", attempt=2, state=GIVEN_UP)}, status=baking(step=1), on=("a", "b")),
            "Baking",
            passed("b"),
            id="one of two canaries gave it up, so the other is watched on",
        ),
        row(
            with_candidate(
                canaries("a") | {node: device(node, attempt=2, state=GIVEN_UP) for node in "bcd"}, status=baking(step=2), on=NODES
            ),
            "Undecided",
            {},
            id="most of the fleet gave it up, so the last step can never end",
        ),
        row(
            with_candidate(NO_LONGER, status=baking(DONE, step=1), on=("a", "b")),
            "Baking",
            {},
            id="canaries that came back are watched anew",
        ),
        row(
            with_candidate(NO_LONGER | {"a": canaries("a")["a"]}, status=baking(DONE, step=1), on=("a", "b")),
            "Baking",
            {},
            id="one of two canaries came back, and is waited for",
        ),
        row(
            with_candidate(NO_LONGER | {"a": canaries("a")["a"]}, status=baking(timedelta(minutes=11), step=1), on=("a", "b")),
            "StepDone",
            {"step": 2, "begun": LAST_STEP, "stepStartedAt": None, "waitingSince": "2026-11-21T12:00:00Z"},
            id="it is waited for ten minutes after the bake",
        ),
        row(with_candidate(canaries(), status=baking(DONE)), "WaitingForNodes", {}, id="the only canary serves the stable version again"),
        row(
            with_candidate(canaries(), status=baking(timedelta(minutes=11))),
            "WaitingForNodes",
            passed("a", **UNWATCHED),
            id="and after the grace another one takes its place",
        ),
        row(
            with_candidate({node: seen for node, seen in canaries("a").items() if node != "a"}, status=baking(DONE), proves_silence=False),
            "Silence",
            {},
            id="the only canary was not heard of since operator and gateway were restarted",
        ),
        row(
            with_candidate(
                FAILING,
                status=baking(DONE, step=2),
                on=NODES,
                history=20,
                analysis={"guardrails": [{"metric": "errors", "minEvents": 100}]},
            ),
            "Undecided",
            {},
            id="after a skip too little was counted of the stable version, so the last step can never be decided",
        ),
        row(
            with_candidate(
                FAILING,
                status=baking(DONE, step=2),
                on=NODES,
                history=20,
                analysis={"guardrails": [{"metric": "errors", "minEvents": 100, "ceiling": "0.02"}]},
            ),
            "CollectingEvidence",
            {},
            id="but a ceiling can still decide it",
        ),
        row(with_candidate(SILENT_FOR_20_S, status=baking(LONG_AGO), proves_silence=False), "Undecided", {}, id="a silence has a deadline"),
    ],
)
def test_a_step_waits_for_its_nodes_but_not_for_ever(seen: Observed, reason: str, expected: dict[str, Any]) -> None:
    plan = next_step(seen, NOW)
    changes = kept(seen, plan)
    changes.pop("decision", None)
    assert ready(plan) == reason
    assert changes == expected


def test_a_node_of_a_board_on_which_the_version_was_never_measured_is_not_waited_for() -> None:
    reports = canaries(*NODES) | {"e": device("e", None, attempt=2)}
    boards = {**dict.fromkeys(NODES, "rpi5"), "e": "rpi4"}
    seen = with_candidate(reports, status=baking(DONE, step=2), on=(*NODES, "e"), nodes=boards)
    assert ready(next_step(seen, NOW)) == "Promoted"


def test_nodes_that_join_the_fleet_while_a_step_is_watched_do_not_make_it_larger() -> None:
    joined = {f"n{number}": device(f"n{number}", V1, attempt=2, seq=5, counts=[counts(V1, "stable")]) for number in range(20)}
    boards = dict.fromkeys([*NODES, *joined], "rpi5")
    seen = with_candidate(canaries("a", "b") | joined, status=baking(DONE, step=1, watched=2), on=("a", "b"), nodes=boards)
    assert ready(next_step(seen, NOW)) == "StepDone"


def test_a_jump_of_the_operators_clock_ends_no_bake() -> None:
    reports = canaries("a") | {"a": device("a", V2, attempt=2, counts=[counts(V2, "candidate")], served=timedelta(seconds=5))}
    seen = with_candidate(reports, status=baking(timedelta(seconds=5)), analysis={"onUndecided": "Promote"})
    assert kept(seen, next_step(seen, NOW + timedelta(hours=73))) == {}


def test_a_node_that_is_passed_over_is_named_with_what_it_says() -> None:
    plan = next_step(with_candidate(**last("a", "b", "c", **GRACE_OVER)), NOW)
    assert plan is not None
    message = "step 3 goes on without d, which did not serve digits-2-0-0 within 10 minutes (d: downloading the disk is full)"
    assert [(event.type, event.reason, event.message) for event in plan.events] == [("Warning", "PassedOver", message)]


def test_a_pause_says_since_when_it_waits() -> None:
    plan = next_step(with_candidate(canaries("a"), status=out(), steps=PAUSE), NOW)
    assert plan is not None
    assert plan.status is not None
    assert "is a pause since 2026-11-21T11:59:00Z: resume" in plan.status["conditions"][0]["message"]


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


COMPARED = [{"metric": "errors", "minEvents": 500}]


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        row(249, "CollectingEvidence", id="the two nodes on it had 498 of 500 requests"),
        row(250, "StepDone", id="they had as many as needed"),
    ],
)
@pytest.mark.parametrize("pauses", [0, 1, 2], ids=["it comes next", "it comes after a pause", "it comes after two pauses"])
def test_the_last_step_waits_for_evidence_of_the_stable_version(requests: int, reason: str, pauses: int) -> None:
    reports = canaries("a", "b", requests=requests, errors=1)
    steps = [*STEPS[:2], *({"pause": {}} for _ in range(pauses)), STEPS[-1]]
    status, analysis = baking(DEADLINE - SECOND, step=1), {"guardrails": COMPARED}
    seen = with_candidate(reports, status=status, on=("a", "b"), analysis=analysis, history=0, steps=steps)
    assert ready(end_step(seen, NOW, V2, "GuardrailsPassed")) == reason


@pytest.mark.parametrize("choice", ["Pause", "Abort", "Promote"])
def test_at_the_deadline_it_waits_for_a_person_whatever_the_spec_says(choice: str) -> None:
    reports = canaries("a", "b", requests=249, errors=1)
    analysis = {"onUndecided": choice, "guardrails": COMPARED}
    seen = with_candidate(reports, status=baking(DEADLINE, step=1), on=("a", "b"), analysis=analysis, history=0)
    for plan in (end_step(seen, NOW, V2, "GuardrailsPassed"), *([next_step(seen, NOW)] if choice != "Abort" else [])):
        assert conditions(plan)["Paused"] == "True/Undecided"
        assert kept(seen, plan) == {}


def test_the_last_step_waits_until_it_is_known_what_is_slow() -> None:
    """A ceiling does not help where nobody knows which requests are slow, and with every node on the candidate nobody would learn it."""
    latency = {"metric": "latency", "quantile": "0.99", "maxRatio": "2", "ceiling": "0.05", "limit": "0.5", "minEvents": 500}
    few, enough = (
        with_candidate(canaries("a", "b", requests=requests), on=("a", "b"), analysis={"guardrails": [latency]}, history=0)
        for requests in (249, 250)
    )
    assert few.blind is not None
    assert few.blind.startswith("latency: fewer than 500 requests so far on stable nodes")
    assert enough.blind is None


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
            with_candidate(canaries("a"), steps=[{"nodes": 1, "bake": "99999h"}, *STEPS[1:]]),
            "step 1: watching its nodes for 4167 days more",
            id="the bake is long",
        ),
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
    lost, errors = changes["decision"]["evidence"]
    assert (lost["candidate"], lost["stable"]) == ({"bad": 0, "events": 1, "nodes": 1}, {"bad": 0, "events": 3, "nodes": 3})
    assert (errors["candidate"], errors["stable"]) == ({"bad": 0, "events": 50, "nodes": 1}, {"bad": 0, "events": 150, "nodes": 3})
    assert [rule["metric"] for rule in changes["decision"]["rules"]] == ["lost", "errors"]
    assert changes["decision"]["rates"] == {"falseRollback": 0.01, "falsePromotion": 0.05}


@pytest.mark.parametrize(
    ("step", "on", "expected"),
    [
        row(0, ("a",), "CollectingEvidence", id="there are nodes without it, and an undo would protect them"),
        row(2, NODES, "Promoted", id="every node has it"),
    ],
)
def test_losses_that_look_bad_hold_a_first_version(step: int, on: tuple[str, ...], expected: str) -> None:
    seen = with_candidate(canaries(*on), status=baking(DONE, stable=None, step=step), on=on, analysis={"guardrails": []})
    lost = LOST.verdict("Undecided", seen.evidence[0], "so many losses hold the step")
    seen.__dict__["judgement"] = Judgement(verdict="Undecided", guardrails=(lost,))
    assert ready(next_step(seen, NOW)) == expected
