"""Two agents that report under one node name are noticed, and the node's state is that of one of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import pytest

from bramble.contracts.report import OFFLINE_SECONDS, REPORT_SECONDS, Report
from bramble.engine.agent_processes import KEPT, TOLD_SECONDS
from bramble.engine.device_reports import DeviceReports
from tests.unit.engine.replica import Time
from tests.unit.engine.test_device_reports import observed, report


def of(instance: str, at: float, boot: str = "") -> tuple[float, Report]:
    """A report of a process that began at 0: its sequence grows with the time."""
    return at, report("pi-1", int(at) + 1, instance, boot or f"boot-{instance}")


def every(instance: str, first: float, last: float, **more: str) -> list[tuple[float, Report]]:
    return [of(instance, first + REPORT_SECONDS * each, **more) for each in range(int((last - first) / REPORT_SECONDS) + 1)]


def play(*sent: Iterable[tuple[float, Report]], until: float) -> DeviceReports:
    """The reports, read when they arrive, and the time that has come then."""
    time = Time()
    reports = DeviceReports(time)
    reports.record_reading(complete=True)
    for at, each in sorted(chain(*sent), key=lambda found: found[0]):
        time.now = at
        reports.merge(observed((0, each)))
    time.now = until
    return reports


@pytest.mark.parametrize(
    ("sent", "machines"),
    [
        pytest.param([every("old", 0, 60), every("new", 22, 60)], 2, id="the card was copied"),
        pytest.param([every("old", 0, 60, boot="b"), every("new", 22, 60, boot="b")], 1, id="a pod did not end"),
        pytest.param([every("a", 0, 60), every("b", 18, 60), every("c", 21, 60)], 3, id="three cards"),
        pytest.param([every(f"card-{n}", n, 60) for n in range(8)], 8, id="a card was copied seven times"),
        pytest.param([every("a", 0, 60), [of(f"b{n}", 2 + 5 * n, boot="b") for n in range(12)]], 2, id="one of two crashes at each start"),
        pytest.param([every("a", 0, 60), [of(f"b{n}", 2 + 20 * n, boot="b") for n in range(3)]], 2, id="one of two crashes less often"),
        pytest.param([every("old", 0, 20), every("new", 23, 60)], None, id="the agent was started again"),
        pytest.param([every("old", 0, 20), [of("old", 39)], every("new", 23, 60)], None, id="its last report arrived very late"),
        pytest.param([every("old", 0, 20), [of("old", 24), of("old", 25)], every("new", 23, 60)], None, id="two of its reports were late"),
        pytest.param([[of(f"i{n}", 5 * n)] for n in range(12)], None, id="it crashes at each start"),
    ],
)
def test_two_agents_of_one_node_are_noticed(sent: list[list[tuple[float, Report]]], machines: int | None) -> None:
    found = play(*sent, until=60).devices("demo").two_agents
    assert {node: each.machines for node, each in found.items()} == ({} if machines is None else {"pi-1": machines})


def test_the_node_is_what_the_newest_process_says_so_nothing_of_it_alternates() -> None:
    """A former process that reports again is no reboot either, for which a guardrail would count the node as lost."""
    for end in range(22, 61):
        devices = play(every("old", 0, end), every("new", 22, end), until=end).devices("demo")
        assert devices.reports["pi-1"].report.instance == "new"
        assert devices.ended["pi-1"].sequence == 21
        assert ("pi-1" in devices.interruptions) is False


def test_both_are_read_of_a_replica_each() -> None:
    """Both are in one reading, the older report last."""
    time = Time()
    reports = DeviceReports(time)
    for at in range(0, 61, REPORT_SECONDS):
        time.now = at
        reports.merge(observed((0, of("new", at)[1])) if at >= 20 else observed())
        reports.merge(observed((1, of("old", at)[1])))
    assert reports.devices("demo").two_agents["pi-1"].machines == 2


def test_the_fleet_is_woken_when_a_second_agent_is_noticed_and_when_it_is_gone() -> None:
    reports = play(every("old", 0, 35), every("new", 19, 34), until=35)
    assert reports.turned() == {"demo"}
    for at in range(40, 130, REPORT_SECONDS):
        reports._clock.now = at  # type: ignore[attr-defined]
        old = () if at > 50 else (of("old", at)[1],)
        reports.merge(observed(*((0, each) for each in (*old, of("new", at)[1]))))
        twice = bool(reports.devices("demo").two_agents)
        assert twice is (40 <= at < 50 + TOLD_SECONDS)
        assert reports.turned() == ({"demo"} if at in (40, 50 + TOLD_SECONDS) else set())


def test_the_older_process_speaks_for_the_node_once_the_newer_one_is_gone() -> None:
    """No reboot is seen in it, and for a minute after the last report of the newer one there are two agents."""
    sent = [*every("old", 0, 60), *every("new", 22, 32)]
    devices = play(sent, until=60).devices("demo")
    assert devices.reports["pi-1"].report.instance == "old"
    assert devices.ended["pi-1"].instance == "new"
    assert devices.reports["pi-1"].age_seconds < OFFLINE_SECONDS
    assert devices.interruptions == {}


def test_there_are_two_agents_until_a_minute_after_the_last_report_of_the_one_that_ended() -> None:
    """Whichever of them it is, and however often it was silent meanwhile."""
    sent = [*every("old", 0, 250), *every("new", 22, 62), *every("new", 95, 105)]
    for until in range(45, 250, 5):
        twice = bool(play([each for each in sent if each[0] <= until], until=until).devices("demo").two_agents)
        assert twice is (until < 105 + TOLD_SECONDS), until


def test_the_older_agent_starts_again_after_the_other_machine_was_switched_off_and_that_is_no_reboot() -> None:
    sent = [*every("old", 0, 65, boot="old"), *every("new", 22, 62), *every("next", 68, 200, boot="old")]
    devices = play(sent, until=200).devices("demo")
    assert (devices.reports["pi-1"].report.instance, devices.two_agents, devices.interruptions) == ("next", {}, {})


def test_one_late_report_after_a_silence_of_the_present_process_is_no_second_agent() -> None:
    sent = [*every("old", 0, 20), *every("new", 23, 80), of("old", 100), *every("new", 101, 250)]
    for until in range(100, 250, 5):
        assert play([each for each in sent if each[0] <= until], until=until).devices("demo").two_agents == {}


def test_a_report_that_is_read_again_does_not_undo_a_reboot() -> None:
    """The process that rebooted had been a former one, and came back."""
    again = (52, of("old", 51)[1])
    sent = [*every("old", 0, 10), *every("new", 11, 16), *every("old", 31, 51), of("next", 52), again]
    assert list(play(sent, until=52 + OFFLINE_SECONDS).devices("demo").interruptions) == ["pi-1"]


@pytest.mark.parametrize("pause", [100, 360])
def test_a_copy_that_crashes_at_each_start_is_not_hidden_by_the_time_until_the_next_one(pause: int) -> None:
    """From its second start on there are two agents, until it has been away for twice as long as before."""
    starts = range(22, 22 + 3 * pause, pause)
    sent = [*every("a", 0, starts[-1] + 4 * pause, boot="a"), *chain(*(every(f"b{at}", at, at + 10, boot="b") for at in starts))]
    found = {
        until: play([each for each in sent if each[0] <= until], until=until).devices("demo")
        for until in (*range(starts[1], starts[-1] + pause, 20), starts[-1] + 3 * pause)
    }
    assert {until: len(devices.two_agents) for until, devices in found.items()} == {
        until: int(until < starts[-1] + 2 * pause) for until in found
    }
    assert all(devices.interruptions == {} for devices in found.values())
    assert found[starts[1]].two_agents["pi-1"].machines == 2


def test_the_first_report_of_an_agent_that_started_shortly_before_a_reboot_may_come_after_that_of_the_next() -> None:
    sent = [*every("old", 0, 20, boot="b1"), *every("new", 30, 60, boot="b2"), of("short", 40, boot="b1")]
    assert play(sent, until=60).devices("demo").two_agents == {}


def test_an_agent_that_starts_again_long_after_the_other_one_is_gone_is_alone() -> None:
    reports = play(every("old", 0, 300), every("new", 22, 62), every("next", 302, 400), until=305)
    assert (reports.devices("demo").reports["pi-1"].report.instance, reports.devices("demo").two_agents) == ("next", {})


def test_what_is_kept_of_former_processes_is_bounded() -> None:
    reports = play([of(f"i{n}", 5 * n) for n in range(50)], until=250)
    assert len(reports._processes._former["pi-1"]) == KEPT
    reports._clock.now = 10_000  # type: ignore[attr-defined]
    reports.turned()
    assert reports._processes._former == {}
