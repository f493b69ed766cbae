"""Counters, the join of feedback with answers, and the crash log."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble.contracts.confusion import Confusion
from bramble.contracts.counters import ALL_BOUNDS_MS, DURATION_BOUNDS_MS, PREDICT
from bramble_workloads.edge.serve.counters import MAX_KEYS, Book, Key, Tally
from bramble_workloads.edge.serve.feedback import Answered, Answers
from bramble_workloads.edge.serve.http.messages import HttpError
from bramble_workloads.edge.serve.metrics import cumulative_buckets
from bramble_workloads.edge.slots import crash_log
from bramble_workloads.edge.slots.crash_log import CrashLog, RunningMarker
from bramble_workloads.tasks.classification.answer import Classified
from bramble_workloads.tasks.classification.task import Classification
from tests.unit.workloads.edge.states import BOOT, V1, V2, package
from tests.unit.workloads.models import LABELS, build_package, digits_graph


def key(name: str = V1, attempt: int = 1, model: str = "digits", uid: str = "uid-1") -> Key:
    return Key("ads", model, uid, name, "stable", attempt)


def test_a_request_counts_in_the_first_bucket_whose_bound_is_not_less_than_its_duration() -> None:
    tally = Tally()
    tally.answered(DURATION_BOUNDS_MS[10])
    tally.answered(DURATION_BOUNDS_MS[10] * 1.0001)
    tally.failed()
    assert (tally.buckets[10], tally.buckets[11], list(tally.histograms)) == (1, 1, [PREDICT])
    assert (tally.counts["requests"], tally.counts["errors"]) == (3, 1)


def test_durations_above_the_bounds_of_one_histogram_are_told_apart() -> None:
    book = Book()
    durations = (DURATION_BOUNDS_MS[0], DURATION_BOUNDS_MS[-1], DURATION_BOUNDS_MS[-1] * 1.0001, 14_000.0, 600_000.0, 1e9)
    for milliseconds in durations:
        book.of(key()).answered(milliseconds)
    (counters,) = book.report()
    found = [number for number, count in enumerate(counters.durations) for _ in range(count)]
    assert found == [bisect_left(ALL_BOUNDS_MS, each) for each in durations]
    assert counters.histogram(PREDICT).buckets[-1] == 4, "what a reader of an earlier release sees"


def test_the_report_has_the_counts_of_each_package() -> None:
    book = Book()
    book.of(key()).answered(1.0, confident=True)
    book.of(key()).answered(1.0)
    book.of(key()).judged("labelled", right=True)
    book.of(key(V2)).judged("volunteered", right=False)
    book.of(key(V2)).classified(("ad", "film"), "film", "ad")
    second, first = book.report()  # the newest first
    assert (first.package, first.counts, first.histogram(PREDICT).count) == (V1, {"requests": 2, "confident": 1, "right": 1}, 2)
    assert first.histogram(PREDICT).buckets[bisect_left(DURATION_BOUNDS_MS, 1.0)] == 2
    assert (second.package, second.counts) == (V2, {"volunteered_wrong": 1})
    assert (first.confusion, second.confusion) == (None, Confusion(classes=("ad", "film"), cells=(1, 0, 1)))


def test_classes_beyond_the_first_63_are_counted_together() -> None:
    tally, classes = Tally(), tuple(f"class-{number}" for number in range(100))
    for true, answered in (("class-0", "class-0"), ("class-0", "class-99"), ("class-70", "class-0"), ("class-70", "class-80")):
        tally.classified(classes, true, answered)
    confusion = tally.confusion
    assert confusion is not None
    assert confusion.classes == classes[:63]
    assert (confusion.of_true("class-0"), confusion.of_answered("class-0")) == ((1, 2), (1, 2))
    assert Confusion.model_validate_json(confusion.model_dump_json()) == confusion


def test_the_counts_by_class_of_two_tallies_of_a_package_add_up() -> None:
    tallies = Tally(), Tally(), Tally()
    for tally in tallies[:2]:
        tally.classified(("ad", "film"), "ad", "film")
    (both,) = [first + second + third for first, second, third in [(tallies[2], *tallies[:2])]]
    assert both.confusion == Confusion(classes=("ad", "film"), cells=(0, 1, 2))


def test_the_oldest_tallies_of_a_model_are_dropped() -> None:
    book = Book()
    for number in range(MAX_KEYS + 5):
        book.of(key(package(str(number)), number + 1))
    other = book.of(key(model="letters"))
    assert len(book.items()) == MAX_KEYS + 1
    assert book.of(key(model="letters")) is other
    book.forget("ads", "digits")
    assert [each.model for each, _ in book.items()] == ["letters"]


def test_the_counts_of_an_earlier_rollout_can_be_deleted() -> None:
    book = Book()
    book.of(key(uid="uid-1"))
    book.of(key(uid="uid-2"))
    book.forget("ads", "digits", all_but="uid-2")
    assert [each.rollout_uid for each, _ in book.items()] == ["uid-2"]


def test_the_buckets_for_prometheus_are_cumulative() -> None:
    tally = Tally()
    for milliseconds in (0.05, 3.0, 1e9):
        tally.answered(milliseconds)
    found = cumulative_buckets(tally)
    counts = [count for _, count in found]
    assert counts == sorted(counts)
    assert (found[0], found[-1]) == (("0.0001", 1), ("+Inf", 3))


# ------------------------------------------------------------------------------------------------------------ feedback

MODELS = ("ads.digits", "ads.letters")
DIGITS = build_package(digits_graph(), cases=0)[0]


def answers(*given: tuple[str, str, str, float], capacity: int = 100) -> tuple[Answers, Tally]:
    tally = Tally()
    made = Answers(capacity=capacity, seconds=60)
    for request_id, model, label, at in given:
        answer = Classified(label, 1.0, np.zeros(2), None, 1.0, confident=True)
        made.remember(request_id, Answered(model, DIGITS, answer, tally, at))
    return made, tally


def test_feedback_is_joined_by_request_id() -> None:
    made, tally = answers(("a", "ads.digits", "7", 0), ("b", "ads.digits", "1", 0))
    assert made.judge("a", {"label": "7"}, None, MODELS, 1) is True
    assert made.judge("b", {"label": "7"}, None, MODELS, 1) is False
    assert (tally.counts["right"], tally.counts["wrong"]) == (1, 1)


def test_labelled_answers_are_counted_by_class_and_what_people_volunteer_by_itself() -> None:
    made, tally = answers(*((request_id, "ads.digits", "7", 0.0) for request_id in "abc"))
    assert made.judge("a", {"label": "1", "origin": "labelled"}, None, MODELS, 1) is False
    assert made.judge("b", {"label": "7"}, None, MODELS, 1) is True
    assert made.judge("c", {"label": "1", "origin": "volunteered"}, None, MODELS, 1) is False
    assert tally.counts == {"right": 1, "wrong": 1, "volunteered_wrong": 1}
    assert tally.confusion == Confusion(classes=LABELS, cells=(1, 7, 1, 7, 7, 1))


def test_what_a_person_volunteered_does_not_keep_a_label_from_being_counted() -> None:
    made, tally = answers(("a", "ads.digits", "7", 0))
    for _ in range(2):
        assert made.judge("a", {"label": "1", "origin": "volunteered"}, None, MODELS, 1) is False
        assert made.judge("a", {"label": "7"}, None, MODELS, 1) is True
    with pytest.raises(HttpError, match="has different feedback already"):
        made.judge("a", {"label": "7", "origin": "volunteered"}, None, MODELS, 1)
    assert tally.counts == {"right": 1, "volunteered_wrong": 1}


@pytest.mark.parametrize("origin", ["", "labeled", None, 1, ["labelled"]])
def test_an_origin_that_there_is_not_is_refused_with_those_that_there_are(origin: Any) -> None:
    made, tally = answers(("a", "ads.digits", "7", 0))
    with pytest.raises(HttpError, match="origin must be one of labelled, volunteered") as raised:
        made.judge("a", {"label": "7", "origin": origin}, None, MODELS, 1)
    assert (raised.value.status, sum(tally.counts.values())) == (400, 0)


def test_the_same_feedback_twice_counts_once() -> None:
    made, tally = answers(("a", "ads.digits", "7", 0))
    assert made.judge("a", {"label": "7"}, None, MODELS, 1)
    assert made.judge("a", {"label": "7"}, None, MODELS, 2)
    assert (tally.counts["right"], tally.counts["wrong"]) == (1, 0)


@pytest.mark.parametrize(
    ("name", "asked", "status", "said"),
    [
        ("an unknown request id is 404", ("z", {"label": "7"}, None, MODELS, 1.0), 404, "in the last 60 s"),
        ("an answer that is too old is 404", ("a", {"label": "7"}, None, MODELS, 61.0), 404, "in the last 60 s"),
        (
            "a model that did not answer the request is 404",
            ("a", {"label": "7"}, "ads.letters", MODELS, 1.0),
            404,
            "was answered by ads.digits, not by 'ads.letters'",
        ),
        (
            "where no model has the name, all that answered are named",
            ("c", {"label": "7"}, "x" * 1000, MODELS, 1.0),
            404,
            "was answered by ads.digits, ads.letters, not by 'xxx",
        ),
        (
            "two models that answered the request are 409 if none is named",
            ("c", {"label": "7"}, None, MODELS, 1.0),
            409,
            "set the field model",
        ),
    ],
)
def test_feedback_that_cannot_be_joined_is_refused(name: str, asked: tuple[Any, ...], status: int, said: str) -> None:
    made, tally = answers(("a", "ads.digits", "7", 0), ("c", "ads.digits", "7", 0), ("c", "ads.letters", "g", 0))
    with pytest.raises(HttpError) as raised:
        made.judge(*asked)
    assert raised.value.status == status, name
    assert said in str(raised.value)
    assert len(str(raised.value)) < 300
    assert (tally.counts["right"], tally.counts["wrong"]) == (0, 0)


def test_feedback_may_name_the_model() -> None:
    made, _ = answers(("c", "ads.digits", "7", 0), ("c", "ads.letters", "3", 0))
    assert made.judge("c", {"label": "3"}, "ads.letters", MODELS, 1)


def test_contradicting_feedback_is_refused() -> None:
    made, tally = answers(("a", "ads.digits", "7", 0))
    made.judge("a", {"label": "7"}, None, MODELS, 1)
    with pytest.raises(HttpError, match="has different feedback already"):
        made.judge("a", {"label": "8"}, None, MODELS, 1)
    assert (tally.counts["right"], tally.counts["wrong"]) == (1, 0)


def test_a_label_that_the_model_does_not_have_is_refused_and_the_right_one_still_counts() -> None:
    made, tally = answers(("a", "ads.digits", "7", 0))
    for label in ("seven", "10", "7 "):
        with pytest.raises(HttpError, match=f"ads.digits has no label {label!r}: its labels are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9$") as raised:
            made.judge("a", {"label": label}, None, MODELS, 1)
        assert raised.value.status == 400
    assert (tally.counts["right"], tally.counts["wrong"]) == (0, 0)
    assert made.judge("a", {"label": "7"}, None, MODELS, 1)
    assert (tally.counts["right"], tally.counts["wrong"]) == (1, 0)


def test_the_message_about_an_unknown_label_names_some_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classification, "labels", lambda *_: tuple(map(str, range(1000))))
    made, _ = answers(("a", "ads.digits", "7", 0))
    with pytest.raises(HttpError, match=r"its labels are 0, 1, .*, 19 and 980 more$"):
        made.judge("a", {"label": "x"}, None, MODELS, 1)


def test_a_model_that_can_be_scored_on_any_label_takes_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classification, "labels", lambda *_: None)
    made, tally = answers(("a", "ads.digits", "7", 0))
    assert made.judge("a", {"label": "x"}, None, MODELS, 1) is False
    assert tally.counts["wrong"] == 1
    assert tally.confusion == Confusion(classes=LABELS, cells=(10, 7, 1)), "the true class is one of the others"


def test_an_id_that_a_client_chose_may_be_judged_from_its_address_only() -> None:
    made, tally = answers(("a", "ads.digits", "7", 0))
    answered = made._answers["ads.digits"]["a"]
    made.remember("chosen", answered._replace(only_from="10.0.0.1"))
    with pytest.raises(HttpError, match="came from another address") as raised:
        made.judge("chosen", {"label": "7"}, None, MODELS, 1, "10.0.0.2")
    assert (raised.value.status, tally.counts["right"]) == (403, 0)
    assert made.judge("chosen", {"label": "7"}, None, MODELS, 1, "10.0.0.1")
    assert made.judge("a", {"label": "7"}, None, MODELS, 1, "10.0.0.2"), "an id that the agent made up is known to who got the answer"


def test_a_busy_model_takes_no_room_of_another() -> None:
    flood = ((str(number), "ads.digits", "7", 0.0) for number in range(50))
    made, _ = answers(("a", "ads.letters", "7", 0), *flood, capacity=10)
    assert made.judge("a", {"label": "7"}, None, MODELS, 1)
    assert made.judge("41", {"label": "7"}, None, MODELS, 1)
    with pytest.raises(HttpError):
        made.judge("40", {"label": "7"}, None, MODELS, 1)


def test_the_oldest_answers_are_dropped() -> None:
    made, _ = answers(*((str(number), "ads.digits", "7", 0.0) for number in range(50)), capacity=10)
    with pytest.raises(HttpError):
        made.judge("39", {"label": "7"}, None, MODELS, 1)
    assert made.judge("40", {"label": "7"}, None, MODELS, 1)


# ------------------------------------------------------------------------------------------------------------- crashes


def marker(instance: str, name: str = V1) -> RunningMarker:
    return RunningMarker(instance=instance, boot_id=BOOT, package=name, cohort="candidate", attempt=1, rollout_uid="uid-1")


def test_a_crash_is_counted_once_and_kept(tmp_path: Path) -> None:
    log = CrashLog(tmp_path, BOOT)
    log.count_last_crash()
    log.write_marker(marker("one"))
    again = CrashLog(tmp_path, BOOT)
    for _ in range(3):  # the process starts three times before it serves again
        again = CrashLog(tmp_path, BOOT)
        again.count_last_crash()
        assert [each.count for each in again.record.crashes] == [1]
    again.write_marker(marker("two"))
    last = CrashLog(tmp_path, BOOT)
    last.count_last_crash()
    assert [(each.package, each.count) for each in last.record.crashes] == [(V1, 2)]


def test_a_reboot_does_not_count_as_a_crash(tmp_path: Path) -> None:
    CrashLog(tmp_path, BOOT).write_marker(marker("one"))
    again = CrashLog(tmp_path, "boot-2")
    again.count_last_crash()
    assert again.record.crashes == ()
    assert not (tmp_path / "running.json").exists()


def test_a_clean_shutdown_does_not_count_as_a_crash(tmp_path: Path) -> None:
    log = CrashLog(tmp_path, BOOT)
    log.write_marker(marker("one"))
    log.delete_marker()
    again = CrashLog(tmp_path, BOOT)
    again.count_last_crash()
    assert again.record.crashes == ()


def test_a_crash_during_the_counting_is_not_counted_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CrashLog(tmp_path, BOOT).write_marker(marker("one"))

    def power_cut(path: Path) -> None:
        raise KeyboardInterrupt(str(path))

    with monkeypatch.context() as patched:
        patched.setattr(crash_log, "remove_durably", power_cut)
        with pytest.raises(KeyboardInterrupt):
            CrashLog(tmp_path, BOOT).count_last_crash()
    again = CrashLog(tmp_path, BOOT)
    again.count_last_crash()
    assert [each.count for each in again.record.crashes] == [1]


def test_damaged_files_are_replaced_by_empty_ones(tmp_path: Path) -> None:
    (tmp_path / "crashes.json").write_bytes(b"\0" * 100)
    (tmp_path / "running.json").write_bytes(b"{")
    log = CrashLog(tmp_path, BOOT)
    log.count_last_crash()
    assert log.record.crashes == ()
    assert not (tmp_path / "running.json").exists()
