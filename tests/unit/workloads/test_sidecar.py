"""The sidecar's loop beside a store that fails for a while."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from bramble.contracts.store import checkpoints_prefix
from bramble_workloads.errors import StoreUnavailable
from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.sidecar import step
from bramble_workloads.sidecar.causes import CauseFeed
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.progress import ProgressFile
from bramble_workloads.sidecar.step import Sidecar
from bramble_workloads.sidecar.summary import SUMMARY, summary_of
from bramble_workloads.store import Store

PREFIX = "runs/digits/1/"


class FailsOnce:
    """A real store whose first upload of a file does not get through."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.failed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def upload(self, key: str, path: Path) -> None:
        if not self.failed:
            self.failed += 1
            raise StoreUnavailable("the store is away")
        self._store.upload(key, path)


@pytest.mark.parametrize(
    ("summary", "progress", "metrics", "epochs"),
    [
        (
            '{"metrics": {"loss": 0.5, "bad": NaN, "worse": "text", "none": null, "list": [1], "huge": 1e999}, "epochs": 3}',
            "",
            {"loss": 0.5},
            3,
        ),
        ('{"metrics": null, "epochs": "many"}', "", {}, 0),
        ("[1]", '{"epoch": 2, "metrics": {"loss": 1}}\nnot JSON\n"text"\n', {"loss": 1.0}, 2),
        ("{", "", {}, 0),
        ("[" * 100_000, "[" * 100_000 + '\n{"epoch": 2}\n', {}, 2),
    ],
)
def test_what_a_program_says_of_itself_cannot_spoil_its_result(
    summary: str, progress: str, metrics: dict[str, float], epochs: int, tmp_path: Path
) -> None:
    run = RunFolder(str(tmp_path))
    run.make()
    (run.out / SUMMARY).write_text(summary)
    run.progress.write_text(progress)
    told = summary_of(Context({}, None, run, 0, 1))  # type: ignore[arg-type]
    assert (told.metrics, told.epochs) == (metrics, epochs)


@pytest.mark.parametrize("lines", [["linked"], ["x" * 2000, "y"], ["y"]])
def test_progress_that_cannot_be_read_is_ignored(lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(str(tmp_path / "run"))
    run.make()
    (tmp_path / "other").write_text('{"epoch": 1}\n')
    if lines == ["linked"]:
        run.progress.symlink_to(tmp_path / "other")
    else:
        run.progress.write_text("".join(f"{line}\n" for line in lines) + '{"epoch": 1}\n')
    monkeypatch.setattr("bramble_workloads.sidecar.progress.MOST_BYTES", 1000)
    file = ProgressFile(Context({"object": {}, "attempt": 1, "nodes": 1}, None, run, 0, 1))  # type: ignore[arg-type]
    found = [line["epoch"] for _ in range(4) for line in file.read()]
    assert found == ([] if lines == ["linked"] else [1])


def test_an_upload_that_failed_is_told_once_and_made_again(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(str(tmp_path))
    run.make()
    (run.checkpoints / "step-8").mkdir()
    (run.checkpoints / "step-8" / "state").write_bytes(b"weights")
    failing = FailsOnce(store)
    sidecar = Sidecar(Context({"prefix": PREFIX, "nodes": 1}, failing, run, 0, 1))  # type: ignore[arg-type]
    for _ in range(4):
        sidecar.look()
        if sidecar._uploading is not None:
            sidecar._uploading.exception(timeout=10)
    assert failing.failed == 1
    assert capsys.readouterr().out == "this will be tried again: the store is away\n"
    marker = json.loads(store.get(f"{checkpoints_prefix(PREFIX)}step-8.json"))
    assert (marker["step"], list(marker["files"])) == (8, ["state"])


@pytest.mark.parametrize(("told", "seconds", "warm"), [(True, 1e9, True), (False, 0.0, True), (False, 1e9, False)])
def test_every_node_is_ready_to_tell_a_cause_once_its_start_is_over(
    told: bool, seconds: float, warm: bool, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(str(tmp_path))
    run.make()
    if told:
        run.progress.write_text("{}\n")
    ready = threading.Event()
    monkeypatch.setattr(step, "START_SECONDS", seconds)
    monkeypatch.setattr(CauseFeed, "warm_up", ready.set)
    sidecar = Sidecar(Context({"prefix": PREFIX, "nodes": 2}, store, run, 1, 1))
    sidecar.look()
    sidecar._pool.shutdown()
    assert ready.is_set() is warm
