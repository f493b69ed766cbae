"""The sidecar reads the trainer's files, and nothing that the trainer could only point at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bramble_workloads.errors import SpecError
from bramble_workloads.sidecar.trusted import opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/secretKey").write_text("hidden")
    (tmp_path / "run/checkpoints/step-1").mkdir(parents=True)
    return tmp_path / "run"


def test_a_file_of_the_run_is_read_also_when_its_name_becomes_another(root: Path) -> None:
    path = root / "checkpoints/step-1/model"
    path.write_text("weights")
    with opened(path, root) as name:
        path.unlink()
        path.symlink_to(root.parent / "secret/secretKey")
        assert name.read_text() == "weights"


def linked_folder(root: Path, path: Path) -> None:
    path.parent.rmdir()
    path.parent.symlink_to(root.parent / "secret")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda root, path: path.symlink_to(root.parent / "secret/secretKey"), "is a link", id="a link"),
        pytest.param(linked_folder, "lies outside the run's folder", id="a linked folder"),
        pytest.param(lambda _, path: path.mkdir(), "without subfolders", id="a folder"),
        pytest.param(lambda _, path: os.mkfifo(path), "not a regular file", id="a pipe"),
    ],
)
def test_nothing_else_is(make: Callable[[Path, Path], object], says: str, root: Path) -> None:
    path = root / "checkpoints/step-1/secretKey"
    make(root, path)
    with pytest.raises(SpecError, match=says), opened(path, root):
        pass


def test_what_is_not_there_is_said_as_ever(root: Path) -> None:
    with pytest.raises(FileNotFoundError), opened(root / "none", root):
        pass
