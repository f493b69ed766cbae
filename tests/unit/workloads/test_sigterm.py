"""SIGTERM at each moment of a process: before its work, within it, and while it reports its end."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble.contracts.jobs.snapshot import SnapshotJob
from bramble_workloads import fetch, job
from bramble_workloads.launch import handshake, main
from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.launch.logs import Pump
from bramble_workloads.launch.sigterm import Sigterm


class Asked(BaseException):
    """What the context under test raises."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def ask() -> None:
    signal.raise_signal(signal.SIGTERM)


def test_one_that_came_before_the_work_ends_it_at_its_start() -> None:
    context = Sigterm(Asked)
    ask()
    with pytest.raises(Asked), context:
        raise AssertionError("the work began")


def test_one_within_the_work_ends_it_and_another_does_not_cut_off_the_report() -> None:
    done = []
    try:
        with Sigterm(Asked):
            ask()
            done.append("worked on")
    except Asked:
        ask()
        done.append("reported")
    assert done == ["reported"]


def test_one_after_the_work_changes_nothing() -> None:
    context = Sigterm(Asked)
    with context:
        pass
    ask()


def test_restored_it_does_what_it_did_before() -> None:
    came = []
    signal.signal(signal.SIGTERM, lambda *_: came.append("before"))
    context = Sigterm(Asked)
    ask()
    context.restore()
    ask()
    assert came == ["before"]


def test_a_launcher_that_is_asked_to_end_before_its_ranks_start_is_disrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(str(tmp_path))
    folder.make()
    plan: dict[str, object] = {"entry": None, "command": ["/bin/false"], "environment": {}, "engine": "torchrun"}
    sizes = {"nodes": 1, "processes": 1, "runId": "a", "barrierSeconds": 1, "graceSeconds": 1}
    folder.plan.write_text(json.dumps({**plan, **sizes, "settings": {"master": "127.0.0.1", "port": 1}}))
    handshake.write(folder.acknowledged, {"code": 0, "termination": {}})
    monkeypatch.setenv("BRAMBLE_TERMINATION_LOG", str(tmp_path / "termination"))
    monkeypatch.setenv("PYTHONPATH", "")

    class AskedMeanwhile(Pump):
        def __init__(self, files: dict[int, Path]) -> None:
            ask()
            super().__init__(files)

    monkeypatch.setattr(main, "Pump", AskedMeanwhile)
    assert main.main(str(tmp_path)) == 75
    found = handshake.read(folder.causes)
    assert found is not None
    assert [cause["kind"] for cause in found["causes"]] == ["Disrupted"]


@pytest.mark.parametrize(
    "step", [fetch.main, lambda: job.run(SnapshotJob, lambda _: pytest.fail("the work began"))], ids=["fetch", "a step"]
)
def test_a_step_that_is_asked_to_end_before_it_reads_its_job(
    step: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class AskedAtOnce(Sigterm):
        def __enter__(self) -> None:
            ask()
            super().__enter__()

    monkeypatch.setenv("BRAMBLE_TERMINATION_LOG", str(tmp_path / "termination"))
    for module in (fetch, job):
        monkeypatch.setattr(module, "Sigterm", AskedAtOnce)
    assert callable(step)
    assert step() == 75
    assert "asked to end (SIGTERM)" in capsys.readouterr().err
