"""What a replica remembers of devices and jobs, and how it tells the operator."""

from __future__ import annotations

import pytest

from bramble.contracts.counters import PREDICT, Counters, Histogram
from bramble.contracts.report import Observed, Progress, Report, Running
from bramble.gateway import reports as module
from bramble.gateway.reports import ReceivedReports
from tests.unit.gateway.fakes import ref

DIGEST = "sha256:" + "1" * 64


def report(node: str = "pi-0", *, sequence: int = 1, instance: str = "i1", boot: str = "b1", requests: int = 3) -> Report:
    counters = Counters(
        namespace="ads",
        model="digits",
        package=DIGEST,
        cohort="stable",
        attempt=1,
        counts={"requests": requests},
        histograms={PREDICT: Histogram(buckets=(0, 3) + (0,) * 136, sum_ms=0.3)},
    )
    running = Running(fleet="f", namespace="ads", model="digits", rollout_uid="u", attempt=1, seq=1, active=DIGEST)
    return Report(
        node=node,
        fleet="f",
        board="rpi5",
        boot_id=boot,
        instance=instance,
        uptime_ms=5,
        sequence=sequence,
        running=(running,),
        counters=(counters,),
    )


def progress(epoch: int = 1, attempt: int = 1, **of: str) -> Progress:
    return Progress(object=ref(**of), step="train", attempt=attempt, epoch=epoch, metrics={"loss": 0.5})


class Setting:
    def __init__(self) -> None:
        self.now = 50.0
        self.received = ReceivedReports("gateway-0", lambda: self.now)

    def observed(self, after: str = "") -> Observed:
        return Observed.model_validate_json(self.received.observed(after))


def test_the_operator_reads_back_what_was_said_and_how_long_ago() -> None:
    setting = Setting()
    assert setting.observed().reports == ()
    setting.received.add_report(report())
    setting.received.add_progress(progress())
    setting.now += 4
    seen = setting.observed()
    assert (seen.replica, seen.up_seconds) == ("gateway-0", 4.0)
    assert [(item.age_seconds, item.report) for item in seen.reports] == [(4.0, report())]
    assert [(item.age_seconds, item.progress) for item in seen.progress] == [(4.0, progress())]


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        pytest.param(report(sequence=6), True, id="the next of the same process"),
        pytest.param(report(sequence=4), False, id="one that was overtaken on its way"),
        pytest.param(report(sequence=5), False, id="the same sent twice"),
        pytest.param(report(sequence=1, instance="i2"), True, id="a new process begins anew"),
        pytest.param(report(sequence=1, boot="b2"), True, id="a reboot"),
        pytest.param(report("pi-1", sequence=1), True, id="another node"),
    ],
)
def test_the_newest_report_of_a_node_stands(second: Report, kept: bool) -> None:
    setting = Setting()
    setting.received.add_report(report(sequence=5))
    assert setting.received.add_report(second) is kept
    assert (second in [item.report for item in setting.observed().reports]) is (kept or second == report(sequence=5))


def test_progress_of_an_earlier_attempt_is_not_news() -> None:
    setting = Setting()
    setting.received.add_progress(progress(epoch=1, attempt=2))
    assert not setting.received.add_progress(progress(epoch=9, attempt=1))
    assert setting.received.add_progress(progress(epoch=2, attempt=2))
    assert [item.progress.epoch for item in setting.observed().progress] == [2]


def test_a_job_of_another_namespace_does_not_speak_over_ours() -> None:
    """Whoever may create Jobs can name any uid as their owner, but no other namespace."""
    setting = Setting()
    setting.received.add_progress(progress(epoch=3))
    assert setting.received.add_progress(progress(epoch=9, attempt=7, namespace="tv"))
    assert [(item.progress.object.namespace, item.progress.epoch) for item in setting.observed().progress] == [("ads", 3), ("tv", 9)]


def test_a_cursor_asks_for_what_came_since() -> None:
    setting = Setting()
    setting.received.add_report(report("pi-0"))
    first = setting.observed()
    setting.received.add_report(report("pi-1"))
    second = setting.observed(first.cursor)
    assert [item.report.node for item in second.reports] == ["pi-1"]
    assert setting.observed(second.cursor).reports == ()


@pytest.mark.parametrize("cursor", ["", "nonsense", "deadbeef.7", "."])
def test_a_cursor_of_another_replica_asks_for_everything(cursor: str) -> None:
    setting = Setting()
    setting.received.add_report(report())
    assert len(setting.observed(cursor).reports) == 1


def test_a_limit_cuts_what_was_received_into_parts_that_lose_and_repeat_nothing() -> None:
    setting = Setting()
    for number in range(10):
        setting.received.add_report(report(f"pi-{number}"))
        setting.received.add_progress(progress(name=f"run-{number}"))
    whole, cursor, parts = setting.observed(), "", list[Observed]()
    while not parts or parts[-1].more:
        parts.append(Observed.model_validate_json(setting.received.observed(cursor, 1000)))
        cursor = parts[-1].cursor
        setting.received.add_report(report("pi-0", sequence=len(parts) + 1)) if len(parts) < 3 else None
    assert len(parts) > 5
    nodes = [item.report.node for part in parts for item in part.reports]
    assert sorted(nodes) == sorted([*(item.report.node for item in whole.reports), "pi-0"]), "it reported again meanwhile"
    assert [item.progress for part in parts for item in part.progress] == [item.progress for item in whole.progress]
    assert all(part.reports or part.progress for part in parts)
    assert (setting.observed(cursor).reports, setting.observed(cursor).more) == ((), False)


def test_a_device_long_silent_is_told_of_no_more() -> None:
    setting = Setting()
    setting.received.add_report(report())
    setting.received.add_progress(progress())
    setting.now += module.FORGET_SECONDS[b"progress"] + 1
    assert [len(setting.observed().reports), len(setting.observed().progress)] == [1, 0]
    setting.now += module.FORGET_SECONDS[b"report"]
    assert setting.observed().reports == ()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REPORTS", 3)
    setting = Setting()
    for number in range(10):
        setting.received.add_report(report(f"pi-{number}"))
    assert [item.report.node for item in setting.observed().reports] == ["pi-7", "pi-8", "pi-9"]
