"""How long ago something happened, by a clock that nobody sets."""

from __future__ import annotations

from bramble.engine.elapsed import Elapsed
from tests.unit.engine.replica import Time


def test_seconds_count_from_when_an_event_is_first_asked_for() -> None:
    time = Time()
    elapsed = Elapsed(time)
    assert elapsed.read("u", {"a": 0}) == {"a": 0}
    time.now += 7
    assert elapsed.read("u", {"a": 0, "b": 0}) == {"a": 7, "b": 0}
    assert elapsed.read("another", {"a": 0}) == {"a": 0}


def test_what_an_earlier_leader_measured_counts_and_its_own_later_word_is_not_added() -> None:
    time = Time()
    elapsed = Elapsed(time)
    assert elapsed.read("u", {"a": 60}) == {"a": 60}
    time.now += 10
    assert elapsed.read("u", {"a": 65}) == {"a": 70}
    assert elapsed.read("u", {"a": 300}) == {"a": 300}, "another leader has watched in between"


def test_events_that_are_not_asked_for_any_more_are_forgotten() -> None:
    time = Time()
    elapsed = Elapsed(time)
    elapsed.read("u", {"a": 0})
    time.now += 5
    elapsed.read("u", {"b": 0})
    assert elapsed.read("u", {"a": 0}) == {"a": 0}
    time.now += 5
    elapsed.forget("u")
    assert elapsed.read("u", {"a": 0}) == {"a": 0}
