"""Reports of several gateway replicas become one picture of the fleet."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from bramble.contracts.report import OFFLINE_SECONDS, ObjectRef, Observed, Progress, Report, SeenProgress, SeenReport
from bramble.engine.cache import Cache
from bramble.engine.feed import Feed
from bramble.engine.metrics import Metrics
from bramble.engine.observe import Address, Board, Observer, addresses, read
from bramble.engine.queue import WorkQueue
from bramble.engine.sources import Reader
from bramble.errors import ApiUnavailable
from bramble.kube.resources import TRAINING_RUN, Key, Manifest
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import SETTINGS, FakeStore, Time

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


def progress(attempt: int, epoch: int, ref: ObjectRef = RUN) -> Progress:
    return Progress(object=ref, step="train", attempt=attempt, epoch=epoch, epochs=10)


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
    seen = board.progress(RUN, "train")
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


async def test_a_job_of_another_namespace_says_nothing_of_an_object_whose_uid_it_claims(board: Board, time: Time) -> None:
    theirs = RUN.model_copy(update={"namespace": "tv"})
    board.take([observed(progress=((2, progress(1, 3)),))])
    time.now = 1
    board.take([observed(progress=((0, progress(7, 9, theirs)),))])

    feed = Feed(Cache(), WorkQueue(), {})
    feed.seen(made("TrainingRun", "digits", uid="uid-run"))
    reader = Reader(FakeApi(), SETTINGS, feed, FakeStore(), board)
    await reader.get(TRAINING_RUN, "ads", "digits")
    seen = reader.progress("uid-run", "train")
    assert seen is not None
    assert (seen.progress.attempt, seen.progress.epoch) == (1, 3)

    board.forget("uid-run")
    assert reader.progress("uid-run", "train") is None


def answer(*reports: Any) -> bytes:
    seen = [{"ageSeconds": 1, "report": each} for each in reports]
    said = {"ageSeconds": 1, "progress": progress(1, 3).model_dump(mode="json", by_alias=True)}
    return json.dumps({"replica": "g1", "upSeconds": 60, "reports": seen, "progress": [said]}).encode()


def test_one_bad_report_leaves_the_others_of_its_replica() -> None:
    good, other = (report(node, 1).model_dump(mode="json", by_alias=True) for node in ("pi-1", "pi-2"))
    seen = read(answer(good, {**good, "node": "pi-9", "sequence": 2**60}, "no report", other))
    assert [each.report.node for each in seen.reports] == ["pi-1", "pi-2"]
    assert [each.progress.epoch for each in seen.progress] == [3]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"replica": "g1"}', b'{"replica": "g1", "upSeconds": 1, "reports": {"0": 1}}'])
def test_what_is_no_reading_at_all_is_none(content: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read(content)


class Away(FakeApi):
    """An API server that does not answer lists while `gone` is set."""

    gone = False

    async def list(self, *args: Any, **options: Any) -> Any:
        if self.gone:
            raise ApiUnavailable("away")
        return await super().list(*args, **options)


@pytest.mark.parametrize(
    ("gone", "replicas", "silent"),
    [
        pytest.param(False, 0, 0, id="none is ready"),
        pytest.param(False, 1, 1, id="one is, and no CA is mounted to ask it by"),
        pytest.param(True, 1, 0, id="the API server does not say which there are"),
    ],
)
async def test_replicas_that_no_longer_answer_are_not_counted_as_such(board: Board, gone: bool, replicas: int, silent: int) -> None:
    api, metrics = Away(), Metrics()
    api.gone = gone
    endpoints = [{"addresses": [f"10.0.0.{number}"]} for number in range(replicas)]
    labels = {"kubernetes.io/service-name": SETTINGS.gateway_service}
    ports = [{"name": "https", "port": 8443}]
    api.put(made("EndpointSlice", "g", namespace=SETTINGS.namespace, metadata={"labels": labels}, ports=ports, endpoints=endpoints))
    metrics.replicas.labels("yes").set(2)
    metrics.replicas.labels("no").set(2)
    metrics.devices.set(9)
    observer = Observer(api, SETTINGS, Feed(Cache(), WorkQueue(), {}), board, metrics)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await observer.run()
    sample = metrics.registry.get_sample_value
    counted = [sample("bramble_gateway_replicas", {"answered": told}) for told in ("yes", "no")]
    assert (counted, sample("bramble_devices")) == ([0, silent], 0)
