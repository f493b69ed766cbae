"""Reports of several gateway replicas become one picture of the fleet."""

from __future__ import annotations

import pytest

from bramble.contracts.report import LOST_SECONDS, OFFLINE_SECONDS, ObjectRef, Observed, Progress, Report, SeenProgress, SeenReport
from bramble.engine.cache import Cache
from bramble.engine.changes import Changes
from bramble.engine.device_reports import FORGET_SECONDS, DeviceReports
from bramble.engine.elapsed import Elapsed
from bramble.engine.object_events import ObjectEvents
from bramble.engine.pass_reader import PassReader
from bramble.engine.queue import WorkQueue
from bramble.kube.resources import TRAINING_RUN, Key
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import SETTINGS, FakeStore, Time

RUN = ObjectRef(kind="TrainingRun", namespace="ads", name="digits", uid="uid-run")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def reports(time: Time) -> DeviceReports:
    return DeviceReports(time)


def report(node: str, sequence: int, instance: str = "i1", boot: str = "b1", board: str = "virtual") -> Report:
    return Report(node=node, fleet="demo", board=board, boot_id=boot, instance=instance, uptime_ms=sequence * 1000, sequence=sequence)


def observed(*reports: tuple[float, Report], progress: tuple[tuple[float, Progress], ...] = ()) -> Observed:
    return Observed(
        replica="g1",
        up_seconds=60,
        reports=tuple(SeenReport(age_seconds=age, report=each) for age, each in reports),
        progress=tuple(SeenProgress(age_seconds=age, progress=each) for age, each in progress),
    )


def read(reports: DeviceReports, reading: Observed) -> tuple[set[str], set[Key]]:
    """What the poller wakes after a reading."""
    fleets, objects = reports.merge(reading)
    return fleets | reports.turned(), objects


def progress(attempt: int, epoch: int, ref: ObjectRef = RUN) -> Progress:
    return Progress(object=ref, step="train", attempt=attempt, epoch=epoch, epochs=10)


def sequence(reports: DeviceReports, node: str = "pi-1") -> int:
    return reports.devices("demo").reports[node].report.sequence


def test_within_one_process_the_sequence_decides(reports: DeviceReports) -> None:
    read(reports, observed((4, report("pi-1", 7))))
    read(reports, observed((1, report("pi-1", 6))))
    assert sequence(reports) == 7


def test_between_two_processes_the_one_heard_later_counts(reports: DeviceReports) -> None:
    """Sequences begin anew with the process."""
    read(reports, observed((6, report("pi-1", 90))))
    read(reports, observed((1, report("pi-1", 2, instance="i2"))))
    assert sequence(reports) == 2
    read(reports, observed((8, report("pi-1", 90))))
    assert sequence(reports) == 2


def test_the_last_report_of_a_process_that_ended_is_kept_for_a_while_or_until_the_next_one_ends(reports: DeviceReports, time: Time) -> None:
    def ended() -> dict[str, int]:
        return {node: each.sequence for node, each in reports.devices("demo").ended.items()}

    for sequence_, instance in ((1, "i1"), (9, "i1"), (1, "i2")):
        reports.merge(observed((0, report("pi-1", sequence_, instance))))
        time.now += 5
    assert ended() == {"pi-1": 9}
    reports.merge(observed((20, report("pi-1", 12, "i1"))))
    assert ended() == {"pi-1": 9}, "a late report"
    reports.merge(observed((0, report("pi-1", 1, "i3"))))
    assert ended() == {"pi-1": 1}
    assert reports.devices("other").ended == {}
    time.now += FORGET_SECONDS
    reports.merge(observed((0, report("pi-1", 2, "i3"))))
    reports.turned()
    assert ended() == {}, "although the node still reports"


def test_news_names_the_fleet_once(reports: DeviceReports, time: Time) -> None:
    assert read(reports, observed((0, report("pi-1", 1))))[0] == {"demo"}
    time.now = 5
    assert read(reports, observed((0, report("pi-1", 2))))[0] == set(), "nothing but the sequence changed"
    time.now = 10
    assert read(reports, observed((0, report("pi-1", 3, board="rpi5"))))[0] == {"demo"}


def test_falling_silent_and_coming_back_is_news(reports: DeviceReports, time: Time) -> None:
    read(reports, observed((0, report("pi-1", 1))))
    time.now = OFFLINE_SECONDS - 1
    assert reports.turned() == set()
    time.now = OFFLINE_SECONDS + 1
    assert reports.turned() == {"demo"}
    assert reports.turned() == set()
    assert read(reports, observed((0, report("pi-1", 2))))[0] == {"demo"}


def test_ages_go_on_by_our_own_clock(reports: DeviceReports, time: Time) -> None:
    read(reports, observed((2, report("pi-1", 1))))
    time.now = 5
    assert reports.devices("demo").reports["pi-1"].age_seconds == 7
    assert reports.devices("other").reports == {}


def test_silence_is_proven_by_readings_that_have_been_complete_for_long_enough(reports: DeviceReports, time: Time) -> None:
    """After an outage of the API server the devices that were turned down are not silent at once."""
    proven = []
    for at, complete in ((0, True), (OFFLINE_SECONDS - 1, True), (OFFLINE_SECONDS, True), (20, False), (25, True), (39, True), (40, True)):
        time.now = at
        reports.record_reading(complete=complete)
        proven.append(reports.proves_silence)
    assert proven == [False, False, True, False, False, False, True]


def test_progress_of_an_earlier_attempt_is_passed_over(reports: DeviceReports) -> None:
    _, objects = read(reports, observed(progress=((1, progress(2, 3)),)))
    assert objects == {Key("TrainingRun", "ads", "digits")}
    _, objects = read(reports, observed(progress=((0, progress(1, 9)),)))
    assert objects == set()
    seen = reports.progress(RUN, "train")
    assert seen is not None
    assert (seen.progress.attempt, seen.progress.epoch) == (2, 3)


def test_the_same_progress_again_wakes_nobody(reports: DeviceReports, time: Time) -> None:
    read(reports, observed(progress=((0, progress(1, 3)),)))
    time.now = 2
    assert read(reports, observed(progress=((0, progress(1, 3)),)))[1] == set()
    time.now = 4
    assert read(reports, observed(progress=((0, progress(1, 4)),)))[1] == {Key("TrainingRun", "ads", "digits")}


async def test_a_job_of_another_namespace_says_nothing_of_an_object_whose_uid_it_claims(reports: DeviceReports, time: Time) -> None:
    theirs = RUN.model_copy(update={"namespace": "tv"})
    read(reports, observed(progress=((2, progress(1, 3)),)))
    time.now = 1
    read(reports, observed(progress=((0, progress(7, 9, theirs)),)))

    changes = Changes(Cache(), WorkQueue(), {})
    changes.updated(made("TrainingRun", "digits", uid="uid-run"))
    reader = PassReader(FakeApi(), SETTINGS, changes, FakeStore(), reports, ObjectEvents(FakeApi()), Elapsed())
    await reader.get(TRAINING_RUN, "ads", "digits")
    seen = reader.progress("uid-run", "train")
    assert seen is not None
    assert (seen.progress.attempt, seen.progress.epoch) == (1, 3)

    reports.forget("uid-run")
    assert reader.progress("uid-run", "train") is None


@pytest.mark.parametrize(
    ("seconds", "known"),
    [pytest.param(FORGET_SECONDS - 1, 1, id="for almost an hour"), pytest.param(FORGET_SECONDS, 0, id="for an hour")],
)
def test_a_device_that_has_been_silent_for_an_hour_is_forgotten(reports: DeviceReports, time: Time, seconds: float, known: int) -> None:
    read(reports, observed((0, report("pi-1", 1))))
    time.now = seconds
    reports.turned()
    assert (reports.count(), len(reports.devices("demo").reports)) == (known, known)


@pytest.mark.parametrize(
    ("seconds", "turned"),
    [
        pytest.param(OFFLINE_SECONDS - 0.1, False, id="just before it counts as offline"),
        pytest.param(OFFLINE_SECONDS, True, id="exactly then"),
    ],
)
def test_a_device_is_offline_after_the_time_that_the_contract_names(
    reports: DeviceReports, time: Time, seconds: float, turned: bool
) -> None:
    read(reports, observed((0, report("pi-1", 1))))
    time.now = seconds
    assert reports.turned() == ({"demo"} if turned else set())


def test_a_report_that_was_already_old_when_it_was_read_is_as_old_here(reports: DeviceReports, time: Time) -> None:
    time.now = 100
    read(reports, observed((OFFLINE_SECONDS + 1, report("pi-1", 1))))
    assert reports.devices("demo").reports["pi-1"].age_seconds == OFFLINE_SECONDS + 1
    assert reports.turned() == set(), "it is offline already, which is no news"


def test_a_device_that_restarted_is_known_by_its_new_boot(reports: DeviceReports, time: Time) -> None:
    read(reports, observed((0, report("pi-1", 90))))
    time.now = 5
    read(reports, observed((0, report("pi-1", 1, boot="b2"))))
    assert sequence(reports) == 1


def test_the_same_sequence_again_is_not_a_newer_report(reports: DeviceReports, time: Time) -> None:
    """Two replicas may have received the same report, or one is read twice; its age goes on."""
    read(reports, observed((0, report("pi-1", 5))))
    time.now = 4
    read(reports, observed((0, report("pi-1", 5, board="rpi5"))))
    assert reports.devices("demo").reports["pi-1"].age_seconds == 4


def test_a_node_that_moved_to_another_fleet_is_news_there(reports: DeviceReports, time: Time) -> None:
    read(reports, observed((0, report("pi-1", 1))))
    time.now = 5
    moved = report("pi-1", 2).model_copy(update={"fleet": "other"})
    assert read(reports, observed((0, moved)))[0] == {"other"}
    assert reports.devices("demo").reports == {}


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        pytest.param(0.0, 3, id="read again"),
        pytest.param(0.01, 3, id="with a rounded age"),
        pytest.param(0.02, 4, id="a little later"),
    ],
)
def test_progress_of_the_same_attempt_counts_by_when_it_was_received(
    reports: DeviceReports, time: Time, later: float, expected: int
) -> None:
    time.now = 10
    read(reports, observed(progress=((5, progress(1, 3)),)))
    read(reports, observed(progress=((5 - later, progress(1, 4)),)))
    seen = reports.progress(RUN, "train")
    assert seen is not None
    assert seen.progress.epoch == expected


def test_progress_of_a_later_attempt_counts_although_it_is_older(reports: DeviceReports, time: Time) -> None:
    time.now = 10
    read(reports, observed(progress=((1, progress(1, 3)),)))
    read(reports, observed(progress=((2, progress(2, 1)),)))
    seen = reports.progress(RUN, "train")
    assert seen is not None
    assert (seen.progress.attempt, seen.age_seconds) == (2, 2)


def test_progress_of_other_objects_stays_when_one_is_deleted(reports: DeviceReports) -> None:
    other = RUN.model_copy(update={"name": "other", "uid": "uid-other"})
    read(reports, observed(progress=((0, progress(1, 3)), (0, progress(1, 3, other)))))
    reports.forget("uid-run")
    assert reports.progress(RUN, "train") is None
    assert reports.progress(other, "train") is not None
    assert reports.progress(other, "evaluate") is None


@pytest.mark.parametrize(
    ("seconds", "boot", "complete", "counts"),
    [
        pytest.param(20, "b1", True, False, id="it was silent for less than half a minute"),
        pytest.param(40, "b1", True, True, id="it was silent for longer"),
        pytest.param(40, "b1", False, False, id="it was silent for longer, while a replica of the gateway did not answer"),
        pytest.param(5, "b2", True, True, id="it rebooted quickly"),
    ],
)
def test_an_interruption_is_known_for_an_hour(
    reports: DeviceReports, time: Time, seconds: float, boot: str, complete: bool, counts: bool
) -> None:
    reports.record_reading(complete=True)
    read(reports, observed((0, report("pi-1", 7))))
    time.now += seconds - 1
    reports.record_reading(complete=complete)
    time.now += 1
    reports.record_reading(complete=True)
    read(reports, observed((0, report("pi-1", 8, boot=boot))))
    at_once = reports.devices("demo").interruptions
    time.now += OFFLINE_SECONDS
    assert ("pi-1" in at_once, "pi-1" in reports.devices("demo").interruptions) == (counts and seconds > LOST_SECONDS, counts)
    if counts:
        time.now += 100 - OFFLINE_SECONDS
        interruption = reports.devices("demo").interruptions["pi-1"]
        assert (interruption.before.sequence, interruption.back_since_seconds) == (7, 100)
        assert interruption.silent_since_seconds == 100 + seconds
    time.now += FORGET_SECONDS
    read(reports, observed((0, report("pi-2", 1))))
    assert reports.devices("demo").interruptions == {}
