"""Reports of several gateway replicas become one picture of the fleet."""

from __future__ import annotations

import pytest

from bramble.contracts.report import OFFLINE_SECONDS, ObjectRef, Observed, Progress, Report, SeenProgress, SeenReport
from bramble.engine.observe import Address, Board, addresses
from bramble.kube.resources import Key, Manifest
from tests.unit.engine.replica import Time

RUN = ObjectRef(kind="TrainingRun", namespace="ads", name="digits", uid="uid-run")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def board(time: Time) -> Board:
    return Board(time)


def report(node: str, sequence: int, instance: str = "i1", boot: str = "b1", board: str = "virtual") -> Report:
    return Report(node=node, fleet="demo", board=board, boot_id=boot, instance=instance, uptime_ms=sequence * 1000, sequence=sequence)


def observed(*reports: tuple[float, Report], progress: tuple[tuple[float, Progress], ...] = ()) -> Observed:
    return Observed(
        replica="g1",
        up_seconds=60,
        reports=tuple(SeenReport(age_seconds=age, report=each) for age, each in reports),
        progress=tuple(SeenProgress(age_seconds=age, progress=each) for age, each in progress),
    )


def progress(attempt: int, epoch: int) -> Progress:
    return Progress(object=RUN, step="train", attempt=attempt, epoch=epoch, epochs=10)


def sequence(board: Board, node: str = "pi-1") -> int:
    return board.devices("demo").reports[node].report.sequence


def test_within_one_process_the_sequence_decides(board: Board) -> None:
    board.take([observed((4, report("pi-1", 7))), observed((1, report("pi-1", 6)))])
    assert sequence(board) == 7


def test_between_two_processes_the_one_heard_later_counts(board: Board) -> None:
    """Sequences begin anew with the process."""
    board.take([observed((6, report("pi-1", 90))), observed((1, report("pi-1", 2, instance="i2")))])
    assert sequence(board) == 2
    board.take([observed((8, report("pi-1", 90)))])
    assert sequence(board) == 2


def test_news_names_the_fleet_once(board: Board, time: Time) -> None:
    assert board.take([observed((0, report("pi-1", 1)))])[0] == {"demo"}
    time.now = 5
    assert board.take([observed((0, report("pi-1", 2)))])[0] == set(), "nothing but the sequence changed"
    time.now = 10
    assert board.take([observed((0, report("pi-1", 3, board="rpi5")))])[0] == {"demo"}


def test_falling_silent_and_coming_back_is_news(board: Board, time: Time) -> None:
    board.take([observed((0, report("pi-1", 1)))])
    time.now = OFFLINE_SECONDS - 1
    assert board.take([])[0] == set()
    time.now = OFFLINE_SECONDS + 1
    assert board.take([])[0] == {"demo"}
    assert board.take([])[0] == set()
    assert board.take([observed((0, report("pi-1", 2)))])[0] == {"demo"}


def test_ages_go_on_by_our_own_clock(board: Board, time: Time) -> None:
    board.take([observed((2, report("pi-1", 1)))])
    time.now = 5
    assert board.devices("demo").reports["pi-1"].age_seconds == 7
    assert board.devices("other").reports == {}


def test_silence_is_proven_by_readings_that_have_been_complete_for_long_enough(board: Board, time: Time) -> None:
    """After an outage of the API server the devices that were turned down are not silent at once."""
    proven = []
    for at, complete in ((0, True), (OFFLINE_SECONDS - 1, True), (OFFLINE_SECONDS, True), (20, False), (25, True), (39, True), (40, True)):
        time.now = at
        board.judge(complete=complete)
        proven.append(board.proves_silence)
    assert proven == [False, False, True, False, False, False, True]


def test_progress_of_an_earlier_attempt_is_passed_over(board: Board) -> None:
    _, objects = board.take([observed(progress=((1, progress(2, 3)),))])
    assert objects == {Key("TrainingRun", "ads", "digits")}
    _, objects = board.take([observed(progress=((0, progress(1, 9)),))])
    assert objects == set()
    seen = board.progress("uid-run", "train")
    assert seen is not None
    assert (seen.progress.attempt, seen.progress.epoch) == (2, 3)


def test_the_same_progress_again_wakes_nobody(board: Board, time: Time) -> None:
    board.take([observed(progress=((0, progress(1, 3)),))])
    time.now = 2
    assert board.take([observed(progress=((0, progress(1, 3)),))])[1] == set()
    time.now = 4
    assert board.take([observed(progress=((0, progress(1, 4)),))])[1] == {Key("TrainingRun", "ads", "digits")}


def test_only_ready_replicas_are_asked() -> None:
    slices: list[Manifest] = [
        {
            "ports": [{"name": "https", "port": 8443}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": True}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": False}},
                {"addresses": ["10.0.0.3"]},
            ],
        },
        {"ports": None, "endpoints": None},
    ]
    assert addresses(slices) == {Address("10.0.0.1", 8443), Address("10.0.0.3", 8443)}
