"""What Kubernetes' Events say about an object that waits."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.engine.object_events import KEPT_SECONDS, NOTE_CHARACTERS, REMEMBERED_SECONDS, ObjectEvents
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import Time


class CountingApi(FakeApi):
    """A model of the API server that counts lists."""

    lists = 0

    async def list(self, *args: Any, **options: Any) -> Any:
        self.lists += 1
        return await super().list(*args, **options)


def event(name: str, type_: str, note: str, uid: str = "u-1", **times: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ads"}
    return {
        "kind": "Event",
        "metadata": metadata,
        "type": type_,
        "reason": "FailedCreate",
        "note": note,
        "regarding": {"uid": uid},
        **times,
    }


def at(second: int) -> dict[str, str]:
    """Kubernetes' own controllers still write this field."""
    return {"deprecatedLastTimestamp": f"2026-01-01T00:00:{second:02}Z"}


async def said(*events: dict[str, Any]) -> str:
    api = FakeApi()
    for each in events:
        api.put(each)
    return await ObjectEvents(api, Time()).warning("ads", "u-1")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param((), "", id="nothing was written"),
        pytest.param((event("a", "Warning", "exceeded  quota\n", **at(1)),), "FailedCreate: exceeded quota", id="a warning, in one line"),
        pytest.param((event("a", "Warning", "theirs", "u-2", **at(1)),), "", id="a warning about another object"),
        pytest.param(
            (event("a", "Warning", "old", **at(1)), event("b", "Warning", "new", **at(2))), "FailedCreate: new", id="the newest warning"
        ),
        pytest.param((event("a", "Warning", "old", **at(1)), event("b", "Normal", "Pulling", **at(2))), "", id="it goes on since"),
        pytest.param(
            (event("a", "Warning", "refused", **at(2)), event("b", "Normal", "made another", **at(2))),
            "FailedCreate: refused",
            id="both in the same second",
        ),
        pytest.param(
            (
                event("a", "Warning", "repeated", series={"lastObservedTime": "2026-01-01T00:00:09.000001Z"}, **at(1)),
                event("b", "Normal", "x", eventTime="2026-01-01T00:00:05.000000Z"),
            ),
            "FailedCreate: repeated",
            id="a series counts by its last time",
        ),
        pytest.param((event("a", "Warning", "x" * 9999, **at(1)),), f"FailedCreate: {'x' * NOTE_CHARACTERS}", id="a text that is too long"),
    ],
)
async def test_the_newest_warning(events: tuple[dict[str, Any], ...], expected: str) -> None:
    assert await said(*events) == expected


async def test_passes_that_follow_each_other_ask_once() -> None:
    api, time = CountingApi(), Time()
    events = ObjectEvents(api, time)
    for _ in range(3):
        await events.warning("ads", "u-1")
    assert api.lists == 1
    api.put(event("a", "Warning", "new", **at(1)))
    time.now += KEPT_SECONDS
    assert await events.warning("ads", "u-1") == "FailedCreate: new"
    assert api.lists == 2


async def test_of_many_objects_a_few_are_asked_about_in_turn_and_what_the_others_said_stays() -> None:
    api, time = CountingApi(), Time()
    events, uids = ObjectEvents(api, time), [f"u-{number}" for number in range(5)]
    for number in range(5):
        api.put(event(f"e{number}", "Warning", f"of {number}", uid=f"u-{number}", **at(1)))
    known = []
    for _ in range(4):
        known.append(await events.warnings("ads", uids, 2))
        time.now += KEPT_SECONDS
    assert [len(each) for each in known] == [2, 4, 5, 5]
    assert list(known[0]) == ["u-0", "u-1"]
    assert known[-1] == {f"u-{number}": f"FailedCreate: of {number}" for number in range(5)}
    assert api.lists == 8
    assert await events.warnings("ads", [], 2) == {}
    time.now += REMEMBERED_SECONDS
    assert list(await events.warnings("ads", uids[4:], 2)) == ["u-4"]
    assert set(events._known) == {"u-4"}, "what is an hour old is forgotten"
