"""The time that passes are planned by is the API server's, whatever happens to the wall clock of the leader."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from bramble.engine.clock import DOUBTED_SECONDS, ClusterClock
from tests.unit.engine.replica import Time

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOURS = timedelta(hours=6)


class Cluster:
    """An API server with a clock, and a leader with another; `passes` lets both go on, and the API server answer every second."""

    def __init__(self) -> None:
        self.time, self.wall_error, self.server_error = Time(), timedelta(), timedelta()
        self.clock = ClusterClock(self.time, lambda: self.true + self.wall_error)

    @property
    def true(self) -> datetime:
        return START + timedelta(seconds=self.time.now)

    @property
    def date(self) -> str:
        return format_datetime((self.true + self.server_error).replace(microsecond=0), usegmt=True)

    def answers(self) -> None:
        self.clock.heard(self.date, 0.01)

    def passes(self, seconds: float, answers: bool = True) -> None:
        for _ in range(int(seconds)):
            self.time.now += 1.01
            if answers:
                self.answers()

    @property
    def error(self) -> timedelta:
        return abs(self.clock.now() - self.true)


def test_before_the_first_answer_it_is_the_wall_clock() -> None:
    assert Cluster().clock.now() == START


@pytest.mark.parametrize("ahead", [HOURS, -HOURS], ids=["ahead", "behind"])
def test_a_wall_clock_that_is_set_changes_nothing(ahead: timedelta) -> None:
    cluster = Cluster()
    cluster.wall_error = ahead
    cluster.answers()
    for error in (timedelta(), ahead, timedelta()):
        cluster.wall_error = error
        assert cluster.error < timedelta(seconds=2), "before an answer"
        cluster.passes(5)
        assert cluster.error < timedelta(seconds=1), "and after some"


def test_it_goes_on_while_the_api_server_is_away() -> None:
    cluster = Cluster()
    cluster.passes(5)
    cluster.passes(3600, answers=False)
    assert cluster.error < timedelta(seconds=1)


@pytest.mark.parametrize("ahead", [HOURS, -HOURS], ids=["ahead", "behind"])
def test_an_api_server_whose_clock_is_set_and_set_back_soon_changes_nothing(ahead: timedelta) -> None:
    cluster = Cluster()
    cluster.passes(5)
    cluster.server_error = ahead
    cluster.passes(DOUBTED_SECONDS * 0.9)
    assert cluster.error < timedelta(seconds=1)
    cluster.server_error = timedelta()
    cluster.passes(5)
    cluster.server_error = ahead
    cluster.passes(DOUBTED_SECONDS * 0.9)
    assert cluster.error < timedelta(seconds=1), "the time of doubt begins anew"


def test_one_of_two_api_servers_that_is_wrong_changes_nothing() -> None:
    cluster = Cluster()
    cluster.passes(5)
    for _ in range(int(DOUBTED_SECONDS)):
        cluster.server_error = HOURS
        cluster.passes(1)
        cluster.server_error = timedelta()
        cluster.passes(1)
    assert cluster.error < timedelta(seconds=1)


def test_a_correction_that_lasts_is_followed() -> None:
    cluster = Cluster()
    cluster.server_error = HOURS
    cluster.passes(5)
    cluster.server_error = timedelta()
    cluster.passes(DOUBTED_SECONDS * 1.1)
    assert cluster.error < timedelta(seconds=1)


def test_a_slow_or_fast_clock_of_this_machine_is_followed() -> None:
    cluster = Cluster()
    cluster.passes(5)
    for _ in range(100):
        cluster.server_error += timedelta(seconds=0.5)
        cluster.passes(1)
    assert abs(cluster.clock.now() - cluster.true - cluster.server_error) < timedelta(seconds=2)


def test_an_answer_that_was_long_on_its_way_changes_nothing() -> None:
    cluster = Cluster()
    cluster.passes(5)
    stated = cluster.date
    cluster.passes(20, answers=False)
    cluster.clock.heard(stated, 20.2)
    assert cluster.error < timedelta(seconds=1)


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Jan 2026 12:00:00 GMT", "Thu, 01 Jan 2026"])
def test_what_is_no_date_is_ignored(date: str) -> None:
    cluster = Cluster()
    cluster.clock.heard(date, 0.01)
    assert cluster.clock.now() == START
