"""Progress on its way from the trainer's file to the trackers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pytest

from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.sidecar import progress
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.progress import Feed, ProgressFile
from bramble_workloads.sidecar.trackers.base import Progress, Tracker
from bramble_workloads.sidecar.trackers.catalogue import TRACKERS, open_trackers
from bramble_workloads.sidecar.trackers.gateway import GatewayTracker

JOB: dict[str, Any] = {"object": {"name": "run"}, "attempt": 2, "nodes": 2, "gateway": {"url": "https://gateway"}}


class Kept(Tracker):
    """Keeps what it is given; does not answer while `away`, and takes its time while `slow` is not set."""

    name = "kept"

    def __init__(self, repeat: float | None = None) -> None:
        self.calls: list[list[int]] = []
        self.away = False
        self.slow = threading.Event()
        self.slow.set()
        self.repeat_seconds = repeat  # type: ignore[misc]

    @classmethod
    def open(cls, context: Context) -> Self | None:
        return cls() if context.job else None

    def log(self, lines: Sequence[Progress]) -> bool:
        self.slow.wait(10)
        self.calls.append([line["epoch"] for line in lines])
        return not self.away


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(str(tmp_path))
    folder.make()
    return folder


def context(run: RunFolder, node_rank: int = 0, **job: Any) -> Context:
    return Context({**JOB, **job}, None, run, node_rank, 1)  # type: ignore[arg-type]


def epochs(*numbers: int) -> list[dict[str, Any]]:
    return [{"epoch": number} for number in numbers]


def settle(pool: ThreadPoolExecutor) -> None:
    """Until all that was submitted has ended: the pool has one thread."""
    pool.submit(lambda: None).result(10)


def test_a_tracker_gets_every_line_once_and_not_too_often(pool: ThreadPoolExecutor) -> None:
    tracker = Kept()
    feed = Feed(tracker, pool)
    for now, lines in [(0.0, epochs(1, 2)), (0.5, epochs(3)), (1.0, []), (1.5, []), (9.0, [])]:
        feed.add(lines)
        feed.look(now)
        settle(pool)
    assert tracker.calls == [[1, 2], [3]], "two lines at once, the third a second later, and then nothing new"


def test_lines_wait_for_a_tracker_that_does_not_answer(pool: ThreadPoolExecutor) -> None:
    tracker = Kept()
    feed = Feed(tracker, pool)
    tracker.away = True
    for now, number in [(0.0, 1), (1.0, 2)]:
        feed.add(epochs(number))
        feed.look(now)
        settle(pool)
    tracker.away = False
    for now in (2.0, 3.0):
        feed.look(now)
        settle(pool)
    assert tracker.calls == [[1], [1, 2], [1, 2]]


def test_only_so_many_lines_wait(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MOST_LINES", 3)
    tracker = Kept()
    feed = Feed(tracker, pool)
    feed.add(epochs(1, 2, 3, 4, 5))
    feed.look(0.0)
    settle(pool)
    assert tracker.calls == [[3, 4, 5]]


def test_a_call_is_made_only_after_the_one_before_has_ended(pool: ThreadPoolExecutor) -> None:
    tracker = Kept()
    feed = Feed(tracker, pool)
    tracker.slow.clear()
    feed.add(epochs(1))
    feed.look(0.0)
    feed.add(epochs(2))
    feed.look(5.0)
    tracker.slow.set()
    settle(pool)
    feed.look(6.0)
    settle(pool)
    assert tracker.calls == [[1], [2]]


@pytest.mark.parametrize(
    ("repeat", "expected"),
    [pytest.param(5.0, [[1, 2], [2]], id="that forgets: the last line again"), pytest.param(None, [[1, 2]], id="that keeps: nothing")],
)
def test_a_tracker_without_news(repeat: float | None, expected: list[list[int]], pool: ThreadPoolExecutor) -> None:
    tracker = Kept(repeat)
    feed = Feed(tracker, pool)
    feed.add(epochs(1, 2))
    for now in (0.0, 4.9, 5.0, 9.9):
        feed.look(now)
        settle(pool)
    assert tracker.calls == expected


def test_the_end_of_a_run_gives_what_still_waits(pool: ThreadPoolExecutor) -> None:
    tracker = Kept()
    feed = Feed(tracker, pool)
    feed.add(epochs(1))
    feed.look(0.0)
    feed.add(epochs(2))
    feed.finish(10)
    assert tracker.calls == [[1], [2]]


def test_the_end_of_a_run_does_not_wait_for_a_tracker_that_hangs(pool: ThreadPoolExecutor) -> None:
    tracker = Kept()
    feed = Feed(tracker, pool)
    tracker.slow.clear()
    feed.add(epochs(1))
    feed.finish(0.01)
    assert tracker.calls == []
    tracker.slow.set()


def test_a_line_says_whose_it_is_and_when_the_first_step_ended(run: RunFolder) -> None:
    file = ProgressFile(context(run))
    with run.progress.open("a") as out:
        out.write(
            '{"epoch": 1, "epochs": 3, "firstStepAt": "10:00", "metrics": {"loss": 0.5, "bad": NaN}}\n{"epoch": 2, "unknown": 1}\n{"ep'
        )
        out.flush()
        first, second = file.read()
        assert file.read() == []
        out.write('och": 3}\n')
    (third,) = file.read()
    common = {"object": {"name": "run"}, "step": "train", "attempt": 2, "worldSize": 2, "firstStepAt": "10:00"}
    assert first == {**common, "epoch": 1, "epochs": 3, "metrics": {"loss": 0.5}}
    assert second == {**common, "epoch": 2, "epochs": 0, "metrics": {}}
    assert third["epoch"] == 3, "a line that was half written is read when it is whole"


@pytest.mark.parametrize("line", ["no JSON", "[1]", '{"epoch": "many"}', '{"epoch": 1e999}'])
def test_a_line_of_another_form_is_reported_and_ignored(line: str, run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    run.progress.write_text(f"{line}\n" + json.dumps({"epoch": 1}) + "\n")
    assert [found["epoch"] for found in ProgressFile(context(run)).read()] == [1]
    assert "a line of $BRAMBLE_PROGRESS is ignored" in capsys.readouterr().out


def test_only_the_first_node_has_trackers_and_only_those_that_are_configured(run: RunFolder) -> None:
    assert [type(tracker) for tracker in open_trackers(context(run))] == [GatewayTracker]
    assert open_trackers(context(run, node_rank=1)) == []
    assert open_trackers(context(run, gateway=None)) == []


def test_every_tracker_has_a_name_of_its_own() -> None:
    assert len({tracker.name for tracker in TRACKERS}) == len(TRACKERS)
