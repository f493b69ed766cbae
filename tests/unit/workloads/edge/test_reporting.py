"""A report always fits, and says what it leaves out."""

from __future__ import annotations

import math
import mmap
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bramble.contracts.report import (
    MAX_COUNTERS,
    MAX_REPORT_BYTES,
    MEMORY_TICK_MS,
    OFFLINE_SECONDS,
    REPORT_SECONDS,
    CandidateState,
    LeftOut,
    Report,
    Running,
)
from bramble.evidence.growth import slope, window
from bramble.gateway.identity import Caller
from bramble.gateway.rates import CALLER_BYTES, Rates
from bramble.gateway.refusals import Throttled
from bramble_workloads.device.backoff import retry_seconds
from bramble_workloads.device.errors import GatewayUnavailable
from bramble_workloads.device.gateway_client import LONGEST_RETRY_SECONDS
from bramble_workloads.edge.reporting import CONFUSION_BYTES, LARGEST_BYTES, MIN_SPACING_SECONDS, Reporter, within
from bramble_workloads.edge.serve.counters import Book, Key
from bramble_workloads.edge.serve.metrics import exposition

LONG = "n" * 63
PACKAGE = f"sha256:{'a' * 64}"


def key(model: str, attempt: int, namespace: str = "ads", uid: str = "uid") -> Key:
    return Key(namespace, model, uid, PACKAGE, "stable", attempt)


def running(number: int, message: str = "") -> Running:
    candidate = CandidateState(package=PACKAGE, state="refused", message=message)
    fields: dict[str, Any] = {"fleet": LONG, "namespace": LONG, "model": f"{LONG}{number}", "rollout_uid": "u" * 36}
    return Running(**fields, attempt=1, seq=1, active=PACKAGE, candidate=candidate, bad=(PACKAGE,) * 16, message=message)


def node(models: int, book: Book, message: str = "", serving: tuple[Key, ...] = ()) -> Any:
    """What a Reporter needs of a node."""
    endpoints = [SimpleNamespace(current=SimpleNamespace(label=each), key=lambda label: label) for each in serving]
    endpoints += [SimpleNamespace(current=None) for _ in range(models - len(serving))]
    rows = tuple(SimpleNamespace(report=lambda _, n=n: running(n, message), endpoint=endpoint) for n, endpoint in enumerate(endpoints))
    settings = SimpleNamespace(node=LONG, fleet=LONG, board=LONG, state=Path("/"))
    return SimpleNamespace(settings=settings, boot_id="b", instance="i", book=book, models=lambda: rows)


def history(models: int, attempts: int) -> Book:
    book = Book()
    for model in range(models):
        for attempt in range(attempts):
            book.of(key(f"m{model}", attempt)).answered(1.0)
    return book


def test_more_models_and_attempts_than_fit_are_counted() -> None:
    report = Reporter(node(70, history(22, 12)), None).report()  # type: ignore[arg-type]
    assert (len(report.running), len(report.counters)) == (64, MAX_COUNTERS)
    assert report.left_out == LeftOut(running=6, counters=264 - MAX_COUNTERS)
    left = {(f"m{model}", attempt) for model in range(22) for attempt in range(12)} - {
        (each.model, each.attempt) for each in report.counters
    }
    assert {attempt for _, attempt in left} == {0}, "the oldest attempts are left out"


def test_the_counters_of_what_serves_come_first() -> None:
    serving = key("m3", 0)
    report = Reporter(node(1, history(4, 3), serving=(serving,)), None).report()  # type: ignore[arg-type]
    assert [(each.model, each.attempt) for each in report.counters][:2] == [("m3", 0), ("m0", 2)]
    assert report.left_out == LeftOut()


def test_a_report_of_long_names_and_messages_fits() -> None:
    report = Reporter(node(64, history(64, 4), "\0" * 1024), None).report()  # type: ignore[arg-type]
    assert len(report.model_dump_json(by_alias=True, exclude_none=True)) <= MAX_REPORT_BYTES
    assert (len(report.running), len(report.counters)) == (64, MAX_COUNTERS)
    small = within(400_000, report)
    assert (len(small.running), len(small.counters), len(small.running[0].message)) == (64, MAX_COUNTERS, 100)


def test_where_short_messages_are_not_enough_counters_are_left_out() -> None:
    report = Reporter(node(2, history(20, 10)), None).report()  # type: ignore[arg-type]
    small = within(30_000, report)
    assert len(small.model_dump_json(by_alias=True, exclude_none=True)) <= 30_000
    assert small.left_out.counters == 200 - len(small.counters) > 0
    assert Report.model_validate_json(small.model_dump_json(by_alias=True)) == small


def labelled(models: int, attempts: int) -> Book:
    """A history in which each pair of 64 classes occurs."""
    book, classes = history(models, attempts), tuple(f"class-{number}" for number in range(64))
    for model, attempt, (true, answered) in product(range(models), range(attempts), product(classes, classes)):
        book.of(key(f"m{model}", attempt)).classified(classes, true, answered)
    return book


def test_counts_by_class_are_left_out_before_other_counters_and_those_of_what_serves_last() -> None:
    report = Reporter(node(1, labelled(20, 2), serving=(key("m3", 0),)), None).report()  # type: ignore[arg-type]
    said = [len(each.confusion.model_dump_json()) for each in report.counters if each.confusion is not None]
    assert sum(said) <= CONFUSION_BYTES < sum(said) + max(said), "as many as fit are told"
    told = [place for place, each in enumerate(report.counters) if each.confusion is not None]
    assert (len(report.counters), told) == (40, list(range(len(told))))
    assert report.left_out == LeftOut(confusions=40 - len(told))
    assert 0 < len(told) < 40
    small = within(30_000, report)
    assert (small.left_out.confusions, small.left_out.counters) == (40, 40 - len(small.counters))
    assert len(small.counters) > 0
    assert Report.model_validate_json(small.model_dump_json(by_alias=True)) == small


def test_a_usual_report_may_be_sent_every_time_and_no_report_is_larger_than_an_agent_may_send() -> None:
    assert CALLER_BYTES.a_second * REPORT_SECONDS >= 120 * 1024 + CONFUSION_BYTES
    report = Reporter(node(64, history(64, 4), "\0" * 1024), None).report()  # type: ignore[arg-type]
    assert len(report.model_dump_json(by_alias=True, exclude_none=True)) <= LARGEST_BYTES < MAX_REPORT_BYTES


@pytest.mark.parametrize("changes", [False, True], ids=["every five seconds", "as often as something changes"])
def test_the_gateway_never_makes_a_device_with_the_largest_report_count_as_offline(changes: bool) -> None:
    """An hour of reports, with the longest time that the gateway may draw for each `Retry-After` (`gateway.server._error`)."""
    now, arrived, silent = 0.0, 0.0, 0.0
    rates, caller = Rates("edge", clock=lambda: now), Caller("edge", "agent", "pi-1", "agent-1", "uid")
    while now < 3600:
        try:
            rates.body(caller, LARGEST_BYTES)
            silent, arrived = max(silent, now - arrived), now
            now += MIN_SPACING_SECONDS if changes else REPORT_SECONDS * 1.1
        except Throttled as refused:
            now += retry_seconds(GatewayUnavailable("busy", min(LONGEST_RETRY_SECONDS, math.ceil(refused.retry_seconds * 2))))
    assert 6 < silent < OFFLINE_SECONDS


def test_feedback_is_one_metric_by_verdict_and_origin() -> None:
    book = Book()
    for origin, right in (("labelled", True), ("labelled", True), ("volunteered", False)):
        book.of(key("m", 1)).judged(origin, right=right)  # type: ignore[arg-type]
    book.of(key("m", 1)).classified(("ad", "film"), "ad", "film")
    text = exposition(node(0, book))[0].decode()
    families = list(text_string_to_metric_families(text))
    found = {
        (sample.labels["origin"], sample.labels["verdict"]): sample.value
        for family in families
        for sample in family.samples
        if sample.name == "bramble_device_feedback_total"
    }
    assert found == {("labelled", "right"): 2, ("labelled", "wrong"): 0, ("volunteered", "right"): 0, ("volunteered", "wrong"): 1}
    assert not any("volunteered" in family.name for family in families), "each count is exported once"
    assert "film" not in text, "names of classes are no labels"


def test_one_package_in_two_namespaces_gives_two_series() -> None:
    book = Book()
    for namespace, uid, count in (("ads", "one", 2), ("prod", "two", 5), ("ads", "another", 1)):
        for _ in range(count):
            book.of(key("m", 1, namespace, uid)).answered(1.0)
    text = exposition(node(0, book))[0].decode()
    found = [
        (tuple(sorted(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "bramble_device_requests_total"
    ]
    assert len({labels for labels, _ in found}) == 2
    assert sorted(value for _, value in found) == [3, 5], "a Rollout that replaces another is counted in one series"


def test_a_process_that_leaks_reports_a_series_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory is real, and so is what the kernel says about it; the hours are simulated."""
    clock = 0.0
    monkeypatch.setattr("bramble_workloads.edge.reporting.time.monotonic", lambda: clock)
    reporter, leaked = Reporter(node(0, Book()), None), []  # type: ignore[arg-type]
    report = reporter.report()
    for _ in range(16):
        leaked.append(mmap.mmap(-1, 4 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))  # the heap may have as much that is free
        leaked[-1].write(b"x" * (4 * 2**20))
        clock += MEMORY_TICK_MS / 1000
        report = reporter.report()
    samples = [(uptime / 3_600_000, held / 2**20) for uptime, held in report.memory]
    assert len(samples) == 12
    picked = window(samples, 2.0)
    assert slope(*zip(*picked, strict=True)) == pytest.approx(32, abs=4), "4 MiB in each eighth of an hour"
    assert Report.model_validate_json(report.model_dump_json(by_alias=True)) == report
