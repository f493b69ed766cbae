"""A request is answered once, the same way for every kind."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bramble.api.objects import parse
from bramble.api.request import Request
from bramble.api.trainingrun import KIND
from bramble.kinds.requests import Accepted, Refused, answer_request
from bramble.kinds.status_update import StatusUpdate, not_ready
from tests.unit.trainingrun.seen import manifest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AGAIN = StatusUpdate("Pending", (not_ready("Again", "the run begins again"),))


def run(text: str | None, **status: Any) -> Any:
    stored = manifest()
    annotations = {} if text is None else {"bramble.dev/request": text}
    return parse(KIND, {**stored, "metadata": {**stored["metadata"], "annotations": annotations}, "status": {"phase": "Failed", **status}})


def request(action: str = "retry", **fields: Any) -> str:
    return json.dumps({"id": "1", "action": action, **fields})


def accept(_: Request) -> Accepted:
    return Accepted("begins again", AGAIN, {"failures": 0, "attempt": 8})


def refuse(_: Request) -> Refused:
    return Refused("nothing has failed")


def unasked(request: Request) -> Refused:
    raise AssertionError(f"{request} was refused before")


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(run(None), id="there is no request"),
        pytest.param(run(request(), lastRequest={"id": "1"}), id="it has been answered"),
    ],
)
def test_without_a_new_request_there_is_no_opinion(seen: Any) -> None:
    assert answer_request(seen, NOW, unasked, actions=("retry",)) is None


def test_an_accepted_request_changes_memory_and_conditions_and_gives_an_event() -> None:
    plan = answer_request(run(request()), NOW, accept, actions=("retry",), fields={"progress": None})
    assert plan is not None
    assert plan.status is not None
    assert plan.remember
    assert plan.status["attempt"] == 8
    assert plan.status["phase"] == "Pending"
    answered = {"id": "1", "action": "retry", "result": "Accepted", "message": "begins again", "at": "2026-01-02T03:04:05Z"}
    assert plan.status["lastRequest"] == answered
    assert [(event.type, event.reason, event.message) for event in plan.events] == [("Normal", "RequestAccepted", "retry: begins again")]


@pytest.mark.parametrize(
    ("text", "decide", "fragment"),
    [
        pytest.param(request(), refuse, "nothing has failed", id="the kind refuses it"),
        pytest.param("retry", unasked, "not JSON", id="it cannot be read"),
        pytest.param(request("stop"), unasked, "unknown to a TrainingRun; use retry or skip", id="the kind has no such action"),
        pytest.param(request(attempt=6), unasked, "attempt 6, but the last attempt is 7", id="it names an attempt that has passed"),
        pytest.param(request(step=1), unasked, "step 1, but the present step is 2", id="it names a step that has passed"),
    ],
)
def test_a_refused_request_changes_nothing_but_the_answer(text: str, decide: Any, fragment: str) -> None:
    seen = run(text, attempt=7)
    plan = answer_request(seen, NOW, decide, actions=("retry", "skip"), attempt=7, step=2)
    assert plan is not None
    assert plan.status is not None
    assert plan.remember
    assert fragment in plan.status["lastRequest"]["message"]
    assert plan.status["lastRequest"]["result"] == "Refused"
    assert {name: plan.status[name] for name in ("phase", "attempt")} == {"phase": "Failed", "attempt": 7}
    assert [(event.type, event.reason) for event in plan.events] == [("Warning", "RequestRefused")]
