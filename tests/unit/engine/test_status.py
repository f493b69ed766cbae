"""When a status is written, and how large it may be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bramble.engine.status import LIMIT, WHOLE_LIMIT, PlanError, check_memory, conditions_changed, same, shorten


def status(truth: str = "True", reason: str = "Done", since: str = "10:00", message: str = "", **fields: Any) -> dict[str, Any]:
    condition = {"type": "Ready", "status": truth, "reason": reason, "message": message, "observedGeneration": 1}
    return {"conditions": [{**condition, "lastTransitionTime": since}], **fields}


def test_since_when_is_not_compared() -> None:
    assert same(status(since="10:00"), status(since="11:00"))
    assert not same(status(), status(message="more"))


def test_a_tuple_and_a_list_say_the_same() -> None:
    assert same(status(items=["a"]), status(items=("a",)))


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (status(), False),
        (status(message="epoch 3 of 50"), False),
        (status(truth="False"), True),
        (status(reason="Other"), True),
        ({"conditions": []}, True),
    ],
)
def test_a_condition_turns_by_status_or_reason_not_by_its_message(present: dict[str, Any], expected: bool) -> None:
    assert conditions_changed(status(), present) is expected


@pytest.mark.parametrize(
    ("former", "present", "remember", "allowed"),
    [
        ({}, {"attempt": 1}, False, False),
        ({}, {"attempt": 1}, True, True),
        ({"attempt": 1}, {"attempt": 1, "note": "x"}, False, True),
        ({}, {"attempt": 0, "versions": []}, False, True),
        ({"passed": False}, {}, False, False),
        ({"versions": [1]}, {"versions": []}, False, False),
    ],
)
def test_memory_changes_only_where_the_plan_says_so(former: dict[str, Any], present: dict[str, Any], remember: bool, allowed: bool) -> None:
    memory = frozenset({"attempt", "versions", "passed"})
    if allowed:
        check_memory(former, present, memory, remember)
    else:
        with pytest.raises(PlanError, match="without `remember`"):
            check_memory(former, present, memory, remember)


def test_a_small_status_is_left_alone() -> None:
    assert shorten(status(items=["a"] * 10)) == status(items=["a"] * 10)


def test_the_longest_list_is_shortened_and_memory_and_conditions_are_not() -> None:
    whole = status(long=["x" * 100] * 400, versions=["y" * 50] * 100, short=["z"])
    fitted = shorten(whole, frozenset({"versions"}))
    assert len(json.dumps(fitted, separators=(",", ":"))) <= LIMIT
    assert (fitted["conditions"], fitted["versions"], fitted["short"]) == (whole["conditions"], whole["versions"], ["z"])
    assert 0 < len(fitted["long"]) < 400


def test_a_time_line_keeps_its_latest_entries() -> None:
    whole = status(timeline=[f"{number:04}" + "x" * 100 for number in range(400)])
    fitted = shorten(whole)["timeline"]
    assert fitted == whole["timeline"][-len(fitted) :]
    assert len(fitted) == 200


def test_text_is_counted_as_the_api_server_keeps_it() -> None:
    """Lines of a script that speaks Russian: two bytes a character, not an escape of six."""
    whole = status(lines=["ошибка" * 50] * 40, shown=["z"] * 10)
    assert shorten(whole) == whole


def test_memory_takes_no_room_from_the_other_fields() -> None:
    """A decision by many guardrails is memory, and the verdicts and the time line beside it stay."""
    whole = status(analysis={"x": "y" * (LIMIT // 2)}, timeline=["z"] * 30, decision={"x": "y" * (WHOLE_LIMIT - LIMIT)})
    assert shorten(whole, frozenset({"decision"})) == whole


def test_beside_large_memory_the_other_fields_are_shortened_before_the_status_is_refused() -> None:
    memory: dict[str, Any] = {"decision": {"x": "y" * (WHOLE_LIMIT - LIMIT)}}
    whole = status(shown=["z" * 1000] * 30, analysis={"x": "y" * 1000}, **memory)
    fitted = shorten({**whole, "cause": "x" * (LIMIT - 8000)}, frozenset({"decision", "cause"}))
    assert 0 < len(fitted["shown"]) < 30
    assert fitted["analysis"] == whole["analysis"]


def test_when_no_list_is_left_the_evidence_goes_and_then_memory_may_be_larger() -> None:
    """A plan that found its memory cut would remember it again, and again."""
    cause = {"lines": ["失敗" * 150] * 20}
    whole = status(analysis={"x": "y" * LIMIT}, shown=["z"] * 10, firstCause=cause)
    assert shorten(whole, frozenset({"firstCause"})) == status(shown=[], firstCause=cause)


def test_the_evidence_about_a_candidate_goes_before_that_of_a_watch() -> None:
    cause, watch = {"lines": ["x" * 1000]}, {"guardrails": ["y" * 1000]}
    whole = {"analysis": {"x": "y" * LIMIT}, "watch": watch, "firstCause": cause}
    assert shorten(whole, frozenset({"firstCause"})) == {"watch": watch, "firstCause": cause}
    assert shorten({**whole, "watch": {"x": "y" * LIMIT}}, frozenset({"firstCause"})) == {"firstCause": cause}


def test_a_status_that_cannot_be_shortened_is_a_mistake() -> None:
    with pytest.raises(PlanError, match="no list that could be shortened"):
        shorten({"text": "x" * (WHOLE_LIMIT + 1)})


def sized(size: int) -> dict[str, Any]:
    """A status of exactly this many bytes, in one list."""
    empty = len(json.dumps({"lines": [""]}, separators=(",", ":")))
    return {"lines": ["x" * (size - empty)]}


@pytest.mark.parametrize(
    ("size", "kept"),
    [pytest.param(LIMIT, True, id="of exactly the limit"), pytest.param(LIMIT + 1, False, id="of one byte more")],
)
def test_a_status_up_to_the_limit_is_left_alone(size: int, kept: bool) -> None:
    assert (shorten(sized(size)) == sized(size)) is kept


def test_memory_may_be_exactly_as_large_as_its_limit() -> None:
    memory = frozenset({"lines"})
    assert shorten(sized(WHOLE_LIMIT), memory) == sized(WHOLE_LIMIT)
    with pytest.raises(PlanError, match=f"a status of {WHOLE_LIMIT + 1} bytes"):
        shorten(sized(WHOLE_LIMIT + 1), memory)


def test_evidence_that_is_memory_is_not_dropped() -> None:
    whole = {"analysis": {"x": "y" * LIMIT}}
    assert shorten(whole, frozenset({"analysis"})) == whole


@pytest.mark.parametrize("absent", [0, 0.0, "", [], (), {}])
def test_an_empty_value_of_memory_equals_an_absent_one(absent: Any) -> None:
    check_memory({"attempt": absent}, {}, frozenset({"attempt"}), remember=False)
    check_memory({}, {"attempt": absent}, frozenset({"attempt"}), remember=False)


def test_a_condition_of_another_generation_has_changed() -> None:
    (condition,) = status()["conditions"]
    assert conditions_changed(status(), {"conditions": [{**condition, "observedGeneration": 2}]})
    assert conditions_changed(status(), {"conditions": [{**condition, "type": "Other"}]})
    assert not conditions_changed({"conditions": None}, {})
