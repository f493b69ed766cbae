"""Every runtime of the tuple has its room, and each half imports what its image has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import ValidationError

from bramble.contracts.canonical import digest_of
from bramble.contracts.package import File, Variant
from bramble.contracts.runtimes import EXPORTS, MODEL, RUNTIMES, Export, RuntimeContract
from bramble_workloads.convert.source import fetch_export
from bramble_workloads.job import Work
from bramble_workloads.runtimes.base import runtime_named
from bramble_workloads.runtimes.converter import NotConvertible, converter_of
from bramble_workloads.runtimes.exporter import Exporter, exporter_of
from tests.unit.workloads.graphs import exported
from tests.unit.workloads.models import digits_graph

PROGRAM = Export(name="program", file="program.pt2", media_type="application/x-program")
NOT_ON_BOARDS = ("onnx", "torch", "timm", "minio", "sklearn")

each_runtime = pytest.mark.parametrize("contract", RUNTIMES, ids=lambda contract: contract.format)


@each_runtime
def test_a_runtime_has_a_room_for_boards_and_for_the_converter(contract: RuntimeContract) -> None:
    runtime, converter = runtime_named(contract.runtime), converter_of(contract)
    assert (runtime.contract, converter.contract) == (contract, contract)
    assert runtime.release().split(".")[0].isdecimal()
    assert converter.libraries()


def test_each_exported_file_is_written_by_a_room() -> None:
    assert EXPORTS[0] == MODEL
    for export in EXPORTS:
        assert isinstance(exporter_of(export), Exporter)


@each_runtime
def test_a_board_imports_its_half_only(contract: RuntimeContract) -> None:
    program = f"import sys, bramble_workloads.runtimes.{contract.format}.run; print(*sorted({set(NOT_ON_BOARDS)} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_names_formats_and_precisions_are_taken_once() -> None:
    for names in ([each.format for each in RUNTIMES], [each.runtime for each in RUNTIMES]):
        assert len(names) == len(set(names))
    assert all(len(each.precisions) == len(set(each.precisions)) for each in RUNTIMES)


def test_a_package_of_a_runtime_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="runtime"):
        Variant(name="x", runtime="tensorstuff", min_runtime="1.0")


class Downloads:
    """A store that counts its downloads."""

    def __init__(self) -> None:
        self.digests: list[str] = []

    def download_blob(self, digest: str, target: Path) -> None:
        self.digests.append(digest)
        target.write_bytes(b"content")


def test_each_exported_file_is_fetched_once_and_a_missing_one_is_a_reason(tmp_path: Path) -> None:
    store = Downloads()
    work = cast("Work[Any]", SimpleNamespace(folder=tmp_path, store=store))
    package, _ = exported(digits_graph())
    with pytest.raises(NotConvertible, match=r"training did not export program\.pt2"):
        fetch_export(work, package, PROGRAM)
    file = File(sha256=digest_of(b"content"), bytes=7, media_type=PROGRAM.media_type)
    with_program = package.model_copy(update={"files": {**package.files, PROGRAM.name: file}})
    paths = {fetch_export(work, with_program, PROGRAM) for _ in range(2)}
    assert (paths, store.digests) == ({tmp_path / "program.pt2"}, [file.sha256])
