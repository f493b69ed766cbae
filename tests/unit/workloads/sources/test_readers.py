"""What holds for the reader of every format, and what a reader does for all of them."""

from __future__ import annotations

import pytest

from bramble.contracts.jobs.snapshot import Source
from bramble.contracts.sources.base import SourceContract, SourceOptions
from bramble.contracts.sources.catalogue import FORMATS
from bramble.contracts.tasks.base import Annotation
from bramble.contracts.tasks.classification import Label
from bramble_workloads.errors import SpecError
from bramble_workloads.snapshot.sources import image_folder
from bramble_workloads.snapshot.sources.base import Listing, SourceReader
from bramble_workloads.snapshot.sources.catalogue import READERS, reader_of
from bramble_workloads.store import Store


class Options(SourceOptions):
    """For a format that exists in this test only."""

    delimiter: str = ","


class Table(SourceReader):
    contract = SourceContract(format="image-table", meaning="m", options=Options)

    def read(self, store: Store, source: Source, annotation: type[Annotation]) -> Listing:
        raise NotImplementedError


def source(options: dict[str, object] | None = None) -> Source:
    return Source(name="tape", format="image-folder", prefix="raw/", options=options)


def test_every_format_has_a_reader_in_the_same_order() -> None:
    assert tuple(reader.contract for reader in READERS) == FORMATS
    assert all(reader_of(each.format).contract is each for each in FORMATS)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(None, Options(), id="no settings: the defaults"),
        pytest.param({"delimiter": ";"}, Options(delimiter=";"), id="settings"),
    ],
)
def test_a_reader_gets_the_settings_of_its_format(options: dict[str, object] | None, expected: Options) -> None:
    assert Table().options_of(source(options)) == expected
    assert READERS[0].options_of(source()) is None, "an image folder has no settings"


def test_settings_that_the_format_does_not_have_are_a_spec_error() -> None:
    with pytest.raises(SpecError, match="source tape: imageTable: "):
        Table().options_of(source({"sheet": 2}))


def test_a_reader_states_what_the_task_needs_or_says_what_is_missing() -> None:
    assert Table().annotate(source(), Label, label="cat") == Label(label="cat")
    with pytest.raises(SpecError, match="states boxes, and the dataset's task needs label; use another format"):
        Table().annotate(source(), Label, boxes=())


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("cat/1.png", True),
        ("cat/1.JPG", True),
        ("\u00e9" * 127 + "/1.png", True),
        ("\u00e9" * 128 + "/1.png", False),
        ("/1.png", False),
        ("cat//1.png", False),
        ("cat/sub/1.png", False),
        ("../1.png", False),
        ("cat\x00/1.png", False),
        ("cat/1.txt", False),
    ],
)
def test_a_picture_is_a_file_in_a_folder_that_any_file_system_can_have(path: str, taken: bool) -> None:
    assert image_folder._is_picture(path) is taken
