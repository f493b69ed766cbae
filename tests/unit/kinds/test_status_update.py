"""A status is composed from what is stored: an operator of another version loses nothing by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bramble.api.conditions import Condition
from bramble.api.objects import Invalid, parse
from bramble.api.trainingrun import KIND, Status
from bramble.engine.status import check_memory
from bramble.kinds.plan import Emit
from bramble.kinds.status_update import StatusUpdate, events_of, not_ready, ready, remember, report
from tests.unit.trainingrun.seen import manifest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STATED = StatusUpdate("Training", (not_ready("Training", "it trains"),))
OLDER: dict[str, Any] = {"attempt": 1, "dataset": {"version": "sha256:1"}, "package": {"digest": "sha256:2"}}
"""Written by an operator whose models had fewer fields: these would be dumped with more."""

NEWER: dict[str, Any] = {**OLDER, "current": {"number": 1, "zone": "b"}, "tuning": {"trial": 3}, "phase": "Old"}
"""Written by one whose models have more."""


def stored(status: dict[str, Any], spec: dict[str, Any] | None = None) -> Any:
    return parse(KIND, {**manifest(spec), "status": status})


def test_a_report_changes_no_memory() -> None:
    for status in (OLDER, NEWER):
        plan = report(stored(status), STATED, NOW, fields={"progress": None})
        assert plan.status is not None
        check_memory(status, plan.status, Status.MEMORY, remember=False)
        assert plan.status["phase"] == "Training"


def test_what_another_version_wrote_is_kept() -> None:
    plan = report(stored(NEWER), STATED, NOW)
    assert plan.status is not None
    assert plan.status["tuning"] == {"trial": 3}
    assert plan.status["current"] == {"number": 1, "zone": "b"}


def test_remembering_changes_what_it_names_and_nothing_else() -> None:
    plan = remember(stored(NEWER), STATED, NOW, attempt=2, current=None)
    assert plan.status is not None
    assert "current" not in plan.status
    kept = {"attempt": 2, "dataset": OLDER["dataset"], "tuning": {"trial": 3}}
    assert {name: plan.status[name] for name in kept} == kept


def test_a_spec_that_cannot_be_used_loses_no_memory() -> None:
    seen = stored(NEWER, {"resources": {"limits": {"memory": "5.5.5"}}})
    assert isinstance(seen, Invalid)
    plan = report(seen, STATED, NOW)
    assert plan.status is not None
    check_memory(NEWER, plan.status, Status.MEMORY, remember=False)


def test_an_object_of_a_test_has_no_store_to_keep() -> None:
    plan = report(replace(stored(OLDER), stored=None), STATED, NOW)
    assert plan.status is not None
    assert plan.status["dataset"] == {"name": "", "uid": "", "version": "sha256:1"}


def before(**reasons: str) -> tuple[dict[str, Any], ...]:
    """Conditions as stored, all False: type to reason."""
    return tuple({"type": type_, "status": "False", "reason": reason} for type_, reason in reasons.items())


STARTED = not_ready("Started", "attempt 1 runs")


@pytest.mark.parametrize(
    ("previous", "conditions", "expected"),
    [
        pytest.param((), (STARTED,), ("Started",), id="a listed reason is new"),
        pytest.param((), (not_ready("Waiting", "for a node"),), (), id="a reason that is not listed gives no event"),
        pytest.param(before(Ready="Waiting"), (STARTED,), ("Started",), id="the condition had another reason"),
        pytest.param(before(Ready="Started"), (STARTED,), (), id="the condition had the same reason and status"),
        pytest.param(before(Ready="Done"), (ready("Done", "all is done"),), ("Done",), id="the same reason with another status is new"),
        pytest.param(before(Ready="InternalError", Made="Started"), (STARTED,), (), id="another condition had the reason before"),
        pytest.param((), (STARTED, Condition("Made", "False", "Started", "made")), ("Started",), id="two conditions give one event"),
        pytest.param((), (STARTED, not_ready("Failed", "no")), ("Started", "Failed"), id="two reasons give two events in order"),
    ],
)
def test_events(previous: tuple[dict[str, Any], ...], conditions: tuple[Condition, ...], expected: tuple[str, ...]) -> None:
    found = events_of(previous, conditions, {"Started": "Normal", "Done": "Normal", "Failed": "Warning"})
    assert tuple(event.reason for event in found) == expected
    assert all(event.type == ("Warning" if event.reason == "Failed" else "Normal") for event in found)


def test_an_event_has_the_message_of_the_first_condition_and_the_type_of_its_table() -> None:
    update = StatusUpdate(
        "Failed", (not_ready("Failed", "exit code 1"), Condition("Made", "False", "Failed", "later")), {"Failed": "Warning"}
    )
    assert report(stored(OLDER), update, NOW).events == (Emit("Warning", "Failed", "exit code 1"),)


def test_a_condition_without_a_message_gives_its_type_as_the_note() -> None:
    assert events_of((), (Condition("Made", "True", "Done"),), {"Done": "Normal"}) == (Emit("Normal", "Done", "Made"),)
