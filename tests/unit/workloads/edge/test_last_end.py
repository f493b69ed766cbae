"""Which models may have ended the agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from bramble_workloads.edge.slots.last_end import MODELS, LastEnd, WorkLog


@pytest.mark.parametrize(
    ("working", "serving", "may_be", "must_be"),
    [
        pytest.param("", "", True, True, id="nothing served, so this model's own trial"),
        pytest.param("", "a", True, True, id="only this model served"),
        pytest.param("", "ab", True, False, id="two served and nothing is known"),
        pytest.param("a", "ab", True, True, id="only this model worked"),
        pytest.param("ab", "ab", True, False, id="both worked"),
        pytest.param("b", "ab", False, False, id="only the other worked"),
        pytest.param("", "b", False, False, id="only the other served"),
    ],
)
def test_an_end_is_attributed_to_a_model_only_if_no_other_may_have_caused_it(
    working: str, serving: str, may_be: bool, must_be: bool
) -> None:
    end = LastEnd(frozenset(working), frozenset(serving))
    assert (end.may_be_of("a"), end.must_be_of("a")) == (may_be, must_be)


def test_the_next_process_finds_who_was_at_work(tmp_path: Path) -> None:
    log = WorkLog("pi-1/state", tmp_path)
    for name in ("assignment-0123456789abcdef", "assignment-b", "assignment-c"):
        log.begin(name)
        log.begin(name)
        log.end(name)
    log.end("assignment-b")
    assert WorkLog("pi-1/state", tmp_path).found == {"assignment-0123456789abcdef", "assignment-c"}
    again = WorkLog("pi-1/state", tmp_path)
    assert again.found == {"assignment-0123456789abcdef", "assignment-c"}, "a process that ended at once has counted nothing yet"
    again.clear()
    assert WorkLog("pi-1/state", tmp_path).found == frozenset()
    assert WorkLog("pi-2/state", tmp_path).found == frozenset()


def test_models_that_are_gone_make_room(tmp_path: Path) -> None:
    log = WorkLog("pi-1/state", tmp_path)
    for number in range(MODELS + 5):
        log.begin(f"m{number}")
        log.end(f"m{number}")
    log.begin("m0")
    log.begin("late")
    log.forget({"m1"})
    log.begin("late")
    log.begin("m1")
    assert WorkLog("pi-1/state", tmp_path).found == {"m0", "m1", "late"}


def test_the_end_of_a_call_whose_begin_found_no_room_changes_nothing(tmp_path: Path) -> None:
    log = WorkLog("pi-1/state", tmp_path)
    for number in range(MODELS):
        log.begin(f"m{number}")
        log.end(f"m{number}")
    log.begin("late")
    log.forget(())
    log.end("late")
    log.begin("late")
    log.end("late")
    log.end("late")
    log.begin("late")
    assert WorkLog("pi-1/state", tmp_path).found == {"late"}


def test_without_a_file_in_memory_nothing_is_known(tmp_path: Path) -> None:
    log = WorkLog("pi-1/state", tmp_path / "absent")
    log.begin("a")
    log.end("a")
    assert log.found == frozenset()
