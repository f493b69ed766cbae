"""What the demo says of its end, without a cluster."""

from pathlib import Path

import pytest

import examples.digits.__main__ as demo
from examples.digits.demo.report import Report, Stage


def test_whatever_ends_a_stage_is_the_reports_error() -> None:
    report = Report([Stage("install", "Helm installs Bramble")])
    with pytest.raises(KeyError), report.stage("install"):
        raise KeyError("digest")
    assert (report.stages[0].state, report.error) == ("failed", "KeyError: 'digest'")


@pytest.mark.parametrize("dumped", [True, False])
def test_only_a_dump_that_is_there_is_named(
    dumped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "DUMP", tmp_path / "dump")
    if dumped:
        demo.DUMP.mkdir()
    demo.tell(Report([], error="no cluster"), None)
    assert ("what explains it" in capsys.readouterr().out) == dumped
