"""The request annotation is read in one place for every kind."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bramble.api.request import MalformedRequest, Request, answer, parse_request


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"id": "1", "action": "retry"}', Request("1", "retry"), id="id and action are enough"),
        pytest.param('{"id": "a", "action": "skip", "attempt": 3, "step": 1}', Request("a", "skip", 3, 1), id="attempt and step are named"),
        pytest.param('{"id": "a", "action": "skip", "attempt": null}', Request("a", "skip"), id="a null attempt is none"),
        pytest.param(
            '{"id": "a", "action": "undo", "to": "digits-1-0-0"}', Request("a", "undo", to="digits-1-0-0"), id="undo names a version"
        ),
        pytest.param(f'{{"id": "{"x" * 64}", "action": "retry"}}', Request("x" * 64, "retry"), id="an id may have 64 characters"),
    ],
)
def test_requests(text: str, expected: Request) -> None:
    assert parse_request(text) == expected


@pytest.mark.parametrize(
    ("text", "id_", "fragment"),
    [
        pytest.param("", None, "not JSON", id="the annotation is empty"),
        pytest.param("null", None, "not a JSON object", id="it is not an object"),
        pytest.param('{"id": "", "action": "retry"}', None, "1 to 64 characters", id="the id is empty"),
        pytest.param(f'{{"id": "{"x" * 65}", "action": "retry"}}', None, "1 to 64 characters", id="the id is too long"),
        pytest.param("[" * 1000, None, "recursion limit", id="it is nested too deeply"),
        pytest.param("[" * 100_000, None, "has 100000 characters; write at most 1024", id="it is long and nested too deeply"),
        pytest.param('{"id": "\\ud800", "action": "skip"}', None, "not JSON", id="the id is half a surrogate pair"),
        pytest.param('{"id": "1", "action": "\\udfff"}', None, "not JSON", id="the action is half a surrogate pair"),
        pytest.param('{"id": "\ud800", "action": "skip"}', None, "not JSON", id="the annotation itself has half a surrogate pair"),
        pytest.param(f'{{"id": "1", "action": "{"x" * 65}"}}', "1", "action is 'xxx", id="the action is too long"),
        pytest.param('{"id": "1", "action": 5}', "1", "action is 5", id="the action is a number"),
        pytest.param('{"id": "1", "action": "skip", "step": true}', "1", "step is True", id="the step is a boolean"),
        pytest.param('{"id": "1", "action": "skip", "attempt": 1.5}', "1", "attempt is 1.5", id="the attempt is no whole number"),
        pytest.param('{"id": "1", "action": "undo"}', "1", "that action needs it", id="undo without a version"),
        pytest.param('{"id": "1", "action": "skip", "to": "a"}', "1", "no other has it", id="another action with a version"),
        pytest.param('{"id": "1", "action": "undo", "to": "../a"}', "1", "write the name", id="the version is no name"),
        pytest.param('{"id": "1", "action": "undo", "to": 5}', "1", "to is 5", id="the version is a number"),
        pytest.param('{"id": "1", "action": "skip", "steps": 1}', "1", "remove 'steps'", id="a field is unknown"),
    ],
)
def test_a_malformed_request_has_a_problem_and_always_the_same_id(text: str, id_: str | None, fragment: str) -> None:
    found = parse_request(text)
    assert isinstance(found, MalformedRequest)
    assert fragment in found.problem
    assert found.id == (id_ or parse_request(text).id), "the same text has the same id, so that it is refused once"
    assert 0 < len(found.id) <= 64
    assert len(found.problem) < 300


TEXTS = st.text(st.characters(), max_size=80)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda each: st.lists(each) | st.dictionaries(TEXTS, each),
    max_leaves=4,
)
REQUESTS = st.dictionaries(st.sampled_from(("id", "action", "attempt", "step", "to", "other")) | TEXTS, VALUES)


@given(text=REQUESTS.map(json.dumps) | TEXTS)
@example(text='{"id": "\\ud800", "action": "skip"}')
@example(text='{"id": "a", "action": "' + "x" * 200_000 + '"}')
@example(text='{"id": "a", "action": "skip", "attempt": ' + "9" * 900 + "}")
def test_an_answer_is_short_and_is_stored_as_it_is(text: str) -> None:
    """Otherwise its id would never equal that of the annotation, and the request would be carried out in each pass."""
    request = parse_request(text)
    problem = request.problem if isinstance(request, MalformedRequest) else request.outdated(-1, -1)
    answered = answer(request, "Refused", problem, datetime(2026, 1, 2, tzinfo=UTC)).model_dump(mode="json")
    stored = json.dumps(answered, ensure_ascii=False).encode()
    assert json.loads(stored)["id"] == request.id
    assert len(stored) < 8_000


@pytest.mark.parametrize(
    ("request_", "attempt", "step", "outdated"),
    [
        pytest.param(Request("1", "skip"), 3, 1, False, id="it names neither"),
        pytest.param(Request("1", "skip", 3, 1), 3, 1, False, id="it names the present ones"),
        pytest.param(Request("1", "skip", 2), 3, 1, True, id="the attempt has passed"),
        pytest.param(Request("1", "skip", 3, 0), 3, 1, True, id="the step has passed"),
        pytest.param(Request("1", "skip", 4), 3, 1, True, id="the attempt is not there yet"),
        pytest.param(Request("1", "skip", 2, 0), None, None, False, id="the kind has neither"),
    ],
)
def test_a_request_for_another_attempt_or_step_is_outdated(
    request_: Request, attempt: int | None, step: int | None, outdated: bool
) -> None:
    assert bool(request_.outdated(attempt, step)) is outdated
