"""The buttons."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bramble.kinds.plan import Plan
from bramble.kinds.rollout.decision import Decision
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.press import press
from tests.unit.rollout.rows import (
    LONG_AGO,
    NOW,
    PAUSE,
    V2,
    baking,
    canaries,
    kept,
    observed,
    orders,
    out,
    tried,
    undone,
)

row = pytest.param


def asked(action: str, **more: Any) -> str:
    return json.dumps({"id": "7", "action": action, **more})


def with_request(request: str, **more: Any) -> Observed:
    return observed(**{"ref": V2, "status": baking(), "reports": canaries("a"), "written": tried("a"), **more}, request=request)


def paused_status(**changes: Any) -> dict[str, Any]:
    condition = {"type": "Paused", "status": "True", "reason": "Undecided", "message": "", "lastTransitionTime": "2026-11-21T11:00:00Z"}
    return baking(LONG_AGO, conditions=(condition,), **changes)


ACCEPTED: list[Any] = [
    row(with_request(asked("resume"), status=out(), steps=PAUSE), {"step": 1}, id="resume ends a pause"),
    row(
        with_request(asked("resume"), status=paused_status()),
        {"stepStartedAt": "2026-11-21T12:00:00Z"},
        id="resume begins the analysis anew",
    ),
    row(with_request(asked("skip")), {"step": 1, "stepStartedAt": None}, id="skip ends this step"),
    row(with_request(asked("skip", attempt=2, step=0)), {"step": 1, "stepStartedAt": None}, id="skip of just this step"),
    row(with_request(asked("promote")), {"step": 2, "stepStartedAt": None}, id="promote goes to all, and bakes"),
    row(with_request(asked("abort")), {"candidate": None, "stepStartedAt": None}, id="abort undoes"),
    row(
        with_request(asked("retry"), status={"attempt": 2, "undone": undone()}, written=orders()),
        {"undone": None},
        id="retry forgets the undo",
    ),
]
REFUSALS: list[Any] = [
    row(with_request("nonsense"), "is not JSON", id="no JSON"),
    row(with_request('{"id": 7, "action": "skip"}'), "id is 7", id="an id that is no text"),
    row(with_request(asked("explode")), "unknown to a Rollout", id="an action that nobody knows"),
    row(with_request(asked("snapshot")), "unknown to a Rollout", id="an action of another kind"),
    row(with_request(asked("skip", attempt=1)), "for attempt 1", id="an attempt that has passed"),
    row(with_request(asked("skip", attempt=2, step=4)), "for step 4", id="a step that is not the present one"),
    row(with_request(asked("resume")), "is not paused", id="resume of what does not wait"),
    row(with_request(asked("abort"), status={}, written=orders()), "no version is being tried", id="abort of nothing"),
    row(with_request(asked("retry")), "nothing was undone", id="retry of nothing"),
]


@pytest.mark.parametrize(("seen", "expected"), ACCEPTED)
def test_a_request_is_carried_out(seen: Observed, expected: dict[str, Any]) -> None:
    plan = press(seen, NOW)
    assert plan is not None
    assert plan.remember
    changes = kept(seen, plan)
    assert (changes["lastRequest"]["id"], changes["lastRequest"]["result"]) == ("7", "Accepted")
    assert {name: changes.get(name) for name in expected} == expected
    assert "RequestAccepted" in [event.reason for event in plan.events]


@pytest.mark.parametrize(("seen", "says"), REFUSALS)
def test_a_request_is_refused_once_and_changes_nothing(seen: Observed, says: str) -> None:
    plan = press(seen, NOW)
    assert plan is not None
    changes = kept(seen, plan)
    assert changes.keys() == {"lastRequest"}
    assert changes["lastRequest"]["result"] == "Refused"
    assert says in changes["lastRequest"]["message"]
    assert [(event.type, event.reason) for event in plan.events] == [("Warning", "RequestRefused")]
    assert plan.status is not None
    assert "conditions" not in plan.status


@pytest.mark.parametrize("text", ["", asked("skip")])
def test_a_request_that_was_answered_is_not_looked_at_again(text: str) -> None:
    answered = {"id": "7", "action": "skip", "result": "Accepted", "message": "", "at": ""}
    assert press(with_request(text, status=baking(last_request=answered)), NOW) is None


@pytest.mark.parametrize(
    ("action", "decided", "policy"), [("skip", "NextStep", press), ("promote", "NextStep", press), ("abort", "Undo", press)]
)
def test_a_persons_decision_keeps_its_evidence(action: str, decided: str, policy: Callable[..., Plan | None]) -> None:
    seen = with_request(asked(action))
    decision = Decision.model_validate(kept(seen, policy(seen, NOW))["decision"])
    assert (decision.action, decision.reason) == (decided, "Requested")
    assert decision.reproduces()
