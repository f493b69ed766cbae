"""A cluster's folder: whose it is, and whether it lives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.cluster import ClusterError, lifecycle
from tools.cluster.state import State, all_states


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BRAMBLE_CLUSTERS", str(tmp_path / "clusters"))


@pytest.mark.parametrize("name", ["", "UP", "-a", "a-", "a" * 31, "../a", "a/b"])
def test_a_name_that_is_no_folder_name_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="cluster name"):
        State.named(name)


def test_a_folder_is_alive_while_its_lock_is_held() -> None:
    state = State.named("one")
    assert not state.is_alive()
    lock = state.create()
    assert state.is_alive()
    os.close(lock)
    assert not state.is_alive()


def test_a_living_cluster_is_not_started_twice() -> None:
    lock = State.named("one").create()
    with pytest.raises(ClusterError, match="is up already"):
        State.named("one").create()
    os.close(lock)


def test_what_a_dead_cluster_left_gives_way_to_a_new_one() -> None:
    state = State.named("one")
    os.close(state.create())
    (state.folder / "old").write_text("")
    os.close(state.create())
    assert not (state.folder / "old").exists()
    assert [each.name for each in all_states()] == ["one"]


def test_the_last_cluster_takes_the_folder_of_all_with_it(tmp_path: Path) -> None:
    one, other = State.named("one"), State.named("other")
    for state in (one, other):
        os.close(state.create())
    assert one.remove_if_dead()
    assert (tmp_path / "clusters").is_dir()
    assert other.remove_if_dead()
    assert not (tmp_path / "clusters").exists()
    assert not other.remove_if_dead()
    assert list(all_states()) == []


def test_a_cluster_that_another_process_swept_away_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    state = State.named("one")
    os.close(state.create())

    def swept(state: State) -> None:
        assert state.remove_if_dead()

    monkeypatch.setattr(lifecycle, "supervisor_pid", swept)
    monkeypatch.setattr(lifecycle, "END_SECONDS", 0.1)
    assert lifecycle.end(state)


def test_a_folder_of_somebody_else_is_not_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "clusters").mkdir()
    monkeypatch.setattr("os.getuid", lambda: 4711)
    with pytest.raises(ClusterError, match="belongs to somebody else"):
        State.named("one").create()
