"""The requests that a person makes of a Rollout, and the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bramble.api.rollout import Release
from bramble.kinds.blockers import Blocker
from bramble.kinds.requests import Refused
from bramble.kinds.rollout.decision import Decision
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.answer_request import answer_request
from tests.unit.rollout.rows import (
    LONG_AGO,
    NOW,
    PAUSE,
    V1,
    V2,
    V3,
    baking,
    canaries,
    conditions,
    kept,
    observed,
    orders,
    out,
    release,
    tried,
    undone,
)

row = pytest.param


def asked(action: str, **more: Any) -> str:
    return json.dumps({"id": "7", "action": action, **more})


def with_request(request: str, **more: Any) -> Observed:
    return observed(**{"ref": V2, "status": baking(), "reports": canaries("a"), "written": tried("a"), **more}, request=request)


def back_to(target: Release, **more: Any) -> Observed:
    return with_request(asked("undo", to=target.ref), target=target, **more)


def paused_status(**changes: Any) -> dict[str, Any]:
    condition = {"type": "Paused", "status": "True", "reason": "Undecided", "message": "", "lastTransitionTime": "2026-11-21T11:00:00Z"}
    return {**baking(LONG_AGO, conditions=(condition,)), **changes}


NOT_ALLOWED = Blocker("FleetNotAllowed", "Fleet 'demo' does not list namespace 'ads' in spec.allowedNamespaces; its owner must add it")
FORBIDDEN: dict[str, Any] = {"fleet_blocker": NOT_ALLOWED, "blocker": NOT_ALLOWED}

COMPARED = {"guardrails": [{"metric": "errors", "minEvents": 100}]}

V0 = release("0.9.0")


def short(value: Any) -> Any:
    """A version by its name."""
    if isinstance(value, list):
        return [short(each) for each in value]
    return value["ref"] if isinstance(value, dict) and "ref" in value else value


ACCEPTED: list[Any] = [
    row(with_request(asked("resume"), status=out(), steps=PAUSE), {"step": 1}, id="resume ends a pause"),
    row(
        with_request(asked("resume"), status=paused_status()),
        {"stepStartedAt": "2026-11-21T12:00:00Z"},
        id="resume lets the nodes of a step that stayed undecided be watched again",
    ),
    row(
        with_request(asked("resume"), status=paused_status(step_started_at="", passed_over={"b": "2026-11-21T11:30:00Z"})),
        {"waitingSince": "2026-11-21T12:00:00Z", "passedOver": None},
        id="resume lets a step that stayed undecided wait for its nodes again",
    ),
    row(with_request(asked("skip")), {"step": 1, "stepStartedAt": None}, id="skip ends the present step"),
    row(with_request(asked("skip", attempt=2, step=0)), {"step": 1, "stepStartedAt": None}, id="skip names the present step"),
    row(
        with_request(asked("skip"), status=baking(step=2)),
        {"step": 3, "candidate": None, "stable": V2.ref, "lastGood": V1.ref},
        id="skip of the last step promotes the candidate",
    ),
    row(with_request(asked("promote")), {"step": 2, "stepStartedAt": None}, id="promote goes to the last step"),
    row(with_request(asked("abort")), {"candidate": None, "stepStartedAt": None}, id="abort undoes the candidate"),
    row(
        with_request(asked("abort"), **FORBIDDEN),
        {"candidate": None, "stepStartedAt": None},
        id="abort undoes the candidate on a Fleet that does not allow the namespace any more",
    ),
    row(
        with_request(
            asked("undo", to=V1.ref), target=V1, status={"attempt": 3, "stable": V2, "last_good": V1, "step": 3}, written=orders()
        ),
        {"attempt": 4, "stable": V1.ref, "candidate": None, "lastGood": None, "undone": V2.ref},
        id="undo goes back to the version before at once",
    ),
    row(
        back_to(V1, status={"attempt": 3, "stable": V3, "history": (V3, V2, V1, V0)}, ref=V3),
        {"attempt": 4, "stable": V1.ref, "lastGood": V0.ref, "undone": V3.ref, "history": [V1.ref, V3.ref, V2.ref, V0.ref]},
        id="undo goes back two versions; the last good one is the one before",
    ),
    row(
        back_to(V1, ref=V1, status={"attempt": 3, "stable": V2, "history": (V2, V1)}),
        {"attempt": 4, "stable": V1.ref, "undone": None},
        id="the spec names the version already, so none is kept from being tried",
    ),
    row(
        back_to(V0, status=baking(history=(V1, V0))),
        {"attempt": 3, "stable": V0.ref, "candidate": None, "undone": V2.ref, "stepStartedAt": None},
        id="undo takes a candidate back as well",
    ),
    row(
        with_request(asked("retry"), status={"attempt": 2, "undone": undone()}, written=orders()),
        {"undone": None},
        id="retry forgets that the version was undone",
    ),
]
REFUSALS: list[Any] = [
    row(with_request("nonsense"), "is not JSON", id="the text is no JSON"),
    row(with_request('{"id": 7, "action": "skip"}'), "id is 7", id="the id is no text"),
    row(with_request(asked("explode")), "unknown to a Rollout", id="nobody knows the action"),
    row(with_request(asked("snapshot")), "unknown to a Rollout", id="the action is another kind's"),
    row(with_request(asked("skip", attempt=1)), "for attempt 1", id="the attempt has passed"),
    row(with_request(asked("skip", attempt=2, step=4)), "for step 4", id="the step is not the present one"),
    row(with_request(asked("resume")), "is not paused", id="resume is asked of a step that does not wait"),
    row(with_request(asked("promote"), **FORBIDDEN), "does not list namespace", id="promote on a Fleet that does not allow the namespace"),
    row(with_request(asked("skip"), **FORBIDDEN), "does not list namespace", id="skip on a Fleet that does not allow the namespace"),
    row(
        with_request(asked("resume"), status=out(), steps=PAUSE, **FORBIDDEN),
        "only be undone (abort)",
        id="resume of a pause on a Fleet that does not allow the namespace",
    ),
    row(with_request(asked("abort"), status={}, written=orders()), "no version is being tried", id="there is nothing to abort"),
    row(with_request(asked("undo")), "to is the version that undo goes back to", id="undo does not say to which version"),
    row(with_request(asked("undo", to="../secrets")), "write the name of an object", id="undo names no object"),
    row(with_request(asked("skip", to=V1.ref)), "no other has it", id="skip names a version"),
    row(
        with_request(asked("undo", to=V3.ref), target=Refused("to: this Rollout never promoted 'digits-3-0-0'")),
        "never promoted",
        id="undo names a version that the fleet cannot go back to",
    ),
    row(
        back_to(V1, status={}, written=orders(), ref=V1),
        "serves digits-1-0-0 already",
        id="undo names the stable version",
    ),
    row(
        back_to(V1, **FORBIDDEN),
        "does not list namespace",
        id="undo where the Fleet does not allow it",
    ),
    row(
        with_request(asked("resume"), status=out(), steps=PAUSE, reports=canaries("a", requests=10), history=0, analysis=COMPARED),
        "errors: the stable version had 30 of 100 requests",
        id="resume of a pause before the last step, which could not be judged",
    ),
    row(with_request(asked("retry")), "nothing was undone", id="there is nothing to retry"),
]


@pytest.mark.parametrize(("seen", "expected"), ACCEPTED)
def test_a_request_is_carried_out(seen: Observed, expected: dict[str, Any]) -> None:
    plan = answer_request(seen, NOW)
    assert plan is not None
    assert plan.remember
    changes = kept(seen, plan)
    assert changes["lastRequest"]["id"] == "7"
    assert changes["lastRequest"]["result"] == "Accepted"
    found = {name: short(value) for name, value in changes.items()}
    assert {name: found.get(name) for name in expected} == expected
    assert [(event.type, event.reason) for event in plan.events] == [("Normal", "RequestAccepted")], "one event says what happened"


@pytest.mark.parametrize(("seen", "problem"), REFUSALS)
def test_a_request_is_refused_once_and_changes_nothing(seen: Observed, problem: str) -> None:
    plan = answer_request(seen, NOW)
    assert plan is not None
    changes = kept(seen, plan)
    assert changes.keys() == {"lastRequest"}
    assert changes["lastRequest"]["result"] == "Refused"
    assert problem in changes["lastRequest"]["message"]
    assert [(event.type, event.reason) for event in plan.events] == [("Warning", "RequestRefused")]
    assert conditions(plan) == {}, "a refused request turns no condition"


@pytest.mark.parametrize("text", ["", asked("skip")], ids=["there is no request", "the request has been answered"])
def test_there_is_nothing_to_answer(text: str) -> None:
    answered = {"id": "7", "action": "skip", "result": "Accepted", "message": "", "at": ""}
    assert answer_request(with_request(text, status=baking(last_request=answered)), NOW) is None


@pytest.mark.parametrize(("action", "decided"), [("skip", "NextStep"), ("promote", "NextStep"), ("abort", "Undo")])
def test_a_decision_by_request_keeps_its_evidence(action: str, decided: str) -> None:
    seen = with_request(asked(action))
    decision = Decision.model_validate(kept(seen, answer_request(seen, NOW))["decision"])
    assert decision.action == decided
    assert decision.reason == "Requested"
    assert decision.reproduces()


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        row(with_request(asked("abort")), "False/Undone", id="an abort shows at once that the version is undone"),
        row(with_request(asked("skip")), "False/Requested", id="a skipped step shows that it was requested"),
    ],
)
def test_what_ready_says_after_a_request(seen: Observed, expected: str) -> None:
    assert conditions(answer_request(seen, NOW))["Ready"] == expected
