from __future__ import annotations

import errno
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from urllib3.connection import HTTPConnection

from bramble.contracts.canonical import digest_of
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.files import ResultFile
from bramble.contracts.jobs.snapshot import (
    Checks,
    Finding,
    SnapshotJob,
    SnapshotResult,
    Source,
    Splits,
)
from bramble.contracts.manifest import Manifest, Sample, read_sample
from bramble.contracts.report import ObjectRef
from bramble.contracts.store import blob_key, cause_key, log_key, result_key, run_prefix
from bramble.contracts.tasks.classification import Label
from bramble.objectstore.bucket import Entry
from bramble_workloads.snapshot.step import THREADS, main
from bramble_workloads.store import Store
from tests.unit.workloads.models import digits, png
from tests.unit.workloads.s3 import versitygw

Freeze = Callable[..., int]
SOURCES = (Source(name="scans", format="image-folder", prefix="raw/"),)
SPLITS = Splits(train=0.7, val=0.15, test=0.15, seed=7)


@pytest.fixture
def pictures(store: Store) -> list[str]:
    """120 digits as an image folder; the keys."""
    keys = []
    for number, (content, label) in enumerate(zip(*digits(), strict=True)):
        if number == 120:
            break
        keys.append(f"raw/{label}/{number:04}.png")
        store.put(keys[-1], content)
    store.put("raw/metadata.csv", ("file_name,hand\n" + "".join(f"{key.removeprefix('raw/')},left\n" for key in keys)).encode())
    return keys


@pytest.fixture
def freeze(store_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Freeze:
    """Runs the step and gives its exit code."""
    assert store_folder.is_dir()

    def run(attempt: int = 1, **fields: Any) -> int:
        values: dict[str, Any] = {"sources": SOURCES, "splits": SPLITS, "checks": Checks()} | fields
        job = SnapshotJob(
            object=ObjectRef(kind="Dataset", namespace="ns", name="digits", uid="u"),
            attempt=attempt,
            prefix=prefix(attempt),
            task="image-classification",
            **values,
        )
        (tmp_path / "job.json").write_text(job.model_dump_json(by_alias=True, exclude_none=True))
        monkeypatch.setenv("BRAMBLE_JOB_FILE", str(tmp_path / "job.json"))
        monkeypatch.setenv("BRAMBLE_TERMINATION_LOG", str(tmp_path / "termination"))
        return main()

    return run


def prefix(attempt: int = 1) -> str:
    return run_prefix("Dataset", "ns", "digits", "u", "snapshot", attempt)


def result(store: Store, attempt: int = 1) -> SnapshotResult:
    found = ResultFile.parse(store.get(result_key(prefix(attempt))))
    assert isinstance(found, SnapshotResult)
    return found


def samples(store: Store, digest: str) -> list[Sample]:
    manifest = Manifest.model_validate_json(store.get_blob(digest))
    return [read_sample(line, Label) for line in store.get_blob(manifest.samples).splitlines()]


def findings(store: Store, attempt: int = 1) -> dict[str, Finding]:
    return {found.check: found for found in result(store, attempt).findings}


@pytest.mark.usefixtures("pictures")
def test_a_folder_of_pictures_becomes_a_manifest_of_digests(store: Store, freeze: Freeze, tmp_path: Path) -> None:
    assert freeze() == 0
    found = result(store)
    assert found.passed
    assert found.findings == ()
    assert found.samples == 120
    assert found.classes == tuple("0123456789")
    assert sum(sum(classes.values()) for classes in found.counts.values()) == 120
    frozen = samples(store, found.manifest)
    assert [sample.id for sample in frozen] == sorted(digest_of(content) for content in digits()[0][:120])
    assert frozen[0].meta == {"hand": "left"}
    assert all("raw/" not in sample.model_dump_json() for sample in frozen)
    assert store.get_blob(frozen[5].id) in digits()[0]
    manifest = Manifest.model_validate_json(store.get_blob(found.manifest))
    assert manifest.slices == {"hand": {"left": sum(found.counts["test"].values())}}
    assert {shard.split: shard.count for shard in manifest.shards} == {split: sum(found.counts[split].values()) for split in found.counts}
    termination = json.loads((tmp_path / "termination").read_text())
    assert termination["key"] == result_key(prefix())
    assert termination["sha256"] == digest_of(store.get(result_key(prefix())))
    assert len((tmp_path / "termination").read_bytes()) <= 1024
    assert b"120 samples of 10 classes" in store.get(log_key(prefix(), 0))


def test_a_column_with_too_many_values_to_list_is_named_in_the_header(store: Store, pictures: list[str], freeze: Freeze) -> None:
    rows = "".join(f"{key.removeprefix('raw/')},{number:0300}\n" for number, key in enumerate(pictures))
    store.put("raw/metadata.csv", f"file_name,recording\n{rows}".encode())
    assert freeze() == 0
    assert Manifest.model_validate_json(store.get_blob(result(store).manifest)).slices == {"recording": None}


@pytest.mark.skipif(versitygw() is None, reason="moto's server closes every connection")
@pytest.mark.usefixtures("pictures")
def test_connections_to_the_store_are_kept(freeze: Freeze, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, original = list[str](), HTTPConnection.connect

    def connect(self: HTTPConnection) -> None:
        opened.append(self.host)
        original(self)

    monkeypatch.setattr(HTTPConnection, "connect", connect)
    assert freeze() == 0
    assert len(opened) <= 1 + THREADS, "for 120 pictures, which are read and written"


@pytest.mark.usefixtures("pictures")
def test_the_same_pictures_are_the_same_version(store: Store, freeze: Freeze) -> None:
    assert freeze(1) == freeze(2) == 0
    assert result(store, 1).manifest == result(store, 2).manifest


@pytest.mark.usefixtures("pictures")
def test_a_later_version_keeps_every_sample_where_it_was(store: Store, freeze: Freeze) -> None:
    assert freeze(1) == 0
    before = {sample.id: sample.split for sample in samples(store, result(store, 1).manifest)}
    for number, (content, label) in enumerate(zip(digits()[0][120:200], digits()[1][120:200], strict=True)):
        store.put(f"raw/{label}/new-{number}.png", content)
    assert freeze(2, previous=result(store, 1).manifest) == 0
    after = {sample.id: sample.split for sample in samples(store, result(store, 2).manifest)}
    assert len(after) == 200
    assert {name: after[name] for name in before} == before


def test_a_sample_that_was_away_comes_back_into_its_split(store: Store, pictures: list[str], freeze: Freeze) -> None:
    """Otherwise a picture that a model was trained on could turn up in test after a copy that had failed for a day."""
    assert freeze(1) == 0
    first = {sample.id: sample.split for sample in samples(store, result(store, 1).manifest)}
    away = {key: store.get(key) for key in pictures[::2]}
    previous = result(store, 1).manifest
    for attempt in (2, 3):  # away in two versions
        for key in away:
            store._client.remove_object(store.config.bucket, store.config.prefix + key)
        assert freeze(attempt, previous=previous) == 0
        previous = result(store, attempt).manifest
        assert len(samples(store, previous)) == 60
    for key, content in away.items():
        store.put(key, content)
    assert freeze(4, previous=previous) == 0
    back = Manifest.model_validate_json(store.get_blob(result(store, 4).manifest))
    assert {sample.id: sample.split for sample in samples(store, result(store, 4).manifest)} == first
    assert back.departed is None, "nobody is away any more"


def test_a_corrupt_picture_blocks_training_and_is_named(store: Store, pictures: list[str], freeze: Freeze) -> None:
    whole = store.get(pictures[3])
    store.put(pictures[3], whole[: len(whole) // 2])
    store.put(pictures[4], b"no picture at all")
    assert freeze() == 0
    assert not result(store).passed
    corrupt = findings(store)["corrupt"]
    assert (corrupt.severity, corrupt.count) == ("error", 2)
    assert [text.partition(": ")[0] for text in corrupt.samples] == sorted(pictures[3:5])
    assert result(store).samples == 118


def test_equal_files_are_one_sample_and_two_labels_are_none(store: Store, pictures: list[str], freeze: Freeze) -> None:
    store.put("raw/0/again.png", store.get(pictures[0]))
    other = next(key for key in pictures if not key.startswith("raw/0/"))
    store.put("raw/0/wrong.png", store.get(other))
    assert freeze() == 0
    assert result(store).samples == 119
    assert findings(store)["duplicates"].samples == ("raw/0/again.png",)
    assert findings(store)["contradictions"].samples == tuple(sorted(["raw/0/wrong.png", other]))
    assert result(store).passed


def test_keeping_duplicates_makes_them_weigh_more(store: Store, pictures: list[str], freeze: Freeze) -> None:
    store.put("raw/0/again.png", store.get(pictures[0]))
    assert freeze(checks=Checks(duplicates="keep")) == 0
    assert {sample.weight for sample in samples(store, result(store).manifest)} == {1.0, 2.0}


def test_hidden_copies_of_pictures_are_no_class_and_take_nothing_away(store: Store, pictures: list[str], freeze: Freeze) -> None:
    """Notebooks keep copies in `.ipynb_checkpoints`, macOS keeps `._` files in every folder and in archives."""
    for number in range(3):
        store.put(f"raw/.ipynb_checkpoints/{number}-checkpoint.png", store.get(pictures[number]))
    store.put("raw/3/._0001.png", b"\x00\x05\x16\x07 no picture")
    store.put("raw/__MACOSX/7.png", b"\x00\x05\x16\x07 no picture")
    assert freeze() == 0
    assert result(store).passed
    assert result(store).samples == len(pictures)
    assert (findings(store)["layout"].severity, findings(store)["layout"].count) == ("info", 5)
    assert findings(store).keys() == {"layout"}


@pytest.mark.parametrize("prefix", [pytest.param("", id="empty"), pytest.param("/", id="a slash")])
def test_without_a_prefix_everything_is_read_that_bramble_has_not_written(prefix: str, store: Store, freeze: Freeze) -> None:
    for picture, label in zip(*digits(), strict=True):
        if label in "01":
            store.put(f"{label}/{digest_of(picture)[7:15]}.png", picture)
    for attempt in (1, 2):  # the second one finds the blobs, the result and the log of the first
        assert freeze(attempt, sources=(Source(name="scans", format="image-folder", prefix=prefix),)) == 0
        assert result(store, attempt).classes == ("0", "1")
        assert findings(store, attempt) == {}


@pytest.mark.usefixtures("pictures")
def test_class_names_that_only_look_different_to_a_program_are_named(store: Store, freeze: Freeze) -> None:
    names = ("K\u00e4se", "Ka\u0308se", "K\u00c4SE", "K\u00e4se ")
    for number, name in enumerate(names):
        store.put(f"raw/{name}/1.png", digits()[0][200 + number])
    assert freeze() == 0
    assert findings(store)["classes"].severity == "warning"
    assert set(findings(store)["classes"].samples) == set(names)


@pytest.mark.parametrize(
    ("row", "severity"),
    [
        pytest.param("right", "error", id="another value"),
        pytest.param("left", None, id="the same value twice"),
    ],
)
def test_rows_of_metadata_that_contradict_each_other_block_training(
    row: str, severity: str | None, store: Store, pictures: list[str], freeze: Freeze
) -> None:
    name = pictures[5].removeprefix("raw/")
    store.put("raw/metadata.csv", store.get("raw/metadata.csv") + f"{name},{row}\n".encode())
    assert freeze() == 0
    found = findings(store).get("metadata")
    assert (found.severity if found else None, found.samples if found else ()) == (severity, (name,) if severity else ())


def test_a_dataset_whose_recordings_leave_a_split_empty_does_not_pass(store: Store, pictures: list[str], freeze: Freeze) -> None:
    rows = "".join(f"{key.removeprefix('raw/')},one\n" for key in pictures)
    store.put("raw/metadata.csv", f"file_name,recording\n{rows}".encode())
    assert freeze(splits=Splits(train=0.7, val=0.15, test=0.15, seed=7, group_by="recording")) == 0
    assert not result(store).passed
    assert result(store).splits == {"train": 120, "val": 0, "test": 0}
    assert "test has no samples" in findings(store)["splits"].message or "val has no samples" in findings(store)["splits"].message


def fixed_camera(store: Store) -> None:
    """60 frames of one scene with the noise of a sensor; in half of them something of 1 % of the frame."""
    random = np.random.default_rng(2)
    scene = np.asarray(Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8)).resize((96, 96), Image.Resampling.BICUBIC), float)
    for number in range(60):
        frame = scene + random.normal(0, 0.5, scene.shape)
        if number % 2:
            row, column = random.integers(0, 86, 2)
            frame[row : row + 10, column : column + 10] += 8
        store.put(f"raw/{'deer' if number % 2 else 'empty'}/{number}.png", png(frame.clip(0, 255).astype(np.uint8)))


@pytest.mark.parametrize(
    ("duplicates", "sizes"),
    [
        pytest.param("drop", {"train": 2, "val": 0, "test": 0}, id="one frame of each label stays"),
        pytest.param("keep", {"train": 60, "val": 0, "test": 0}, id="all frames are one group"),
    ],
)
def test_near_duplicates_that_leave_a_split_empty_are_named_as_the_reason(
    duplicates: Any, sizes: dict[str, int], store: Store, freeze: Freeze
) -> None:
    fixed_camera(store)
    assert freeze(checks=Checks(duplicates=duplicates)) == 0
    assert result(store).splits == sizes
    empty = [each.message for each in result(store).findings if "has no samples" in each.message]
    assert len(empty) == 2
    assert all("since 60 are near-duplicates" in message and "checks.duplicates: separate" in message for message in empty)


def test_a_fixed_camera_can_be_divided_at_a_risk_that_is_told(store: Store, freeze: Freeze) -> None:
    fixed_camera(store)
    assert freeze(checks=Checks(duplicates="separate")) == 0
    assert result(store).passed
    assert result(store).splits == {"train": 42, "val": 9, "test": 9}
    contradiction, warning = sorted(result(store).findings, key=lambda each: each.check)
    assert (contradiction.check, contradiction.severity, contradiction.count) == ("contradictions", "warning", 1)
    assert (warning.check, warning.severity, warning.count) == ("duplicates", "warning", 18)
    assert "9 of 9 samples of val and 9 of 9 samples of test look like one of train" in warning.message


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("checks", "name", "says"),
    [
        (Checks(min_samples_per_class=13), "minSamplesPerClass", "fewer than 13"),
        (Checks(max_imbalance="1.05"), "maxImbalance", "more than 1.05 to 1"),
        (Checks(class_pattern="^[A-Z]+$"), "classPattern", "rename their folders"),
    ],
)
def test_a_check_that_fails_blocks_training(checks: Checks, name: str, says: str, store: Store, freeze: Freeze) -> None:
    assert freeze(checks=checks) == 0
    assert not result(store).passed
    assert says in findings(store)[name].message
    whole = {found["check"]: found for found in json.loads(store.get(result(store).findings_key))}
    assert whole[name]["count"] == len(whole[name]["samples"])


def test_what_is_no_sample_is_said_and_left_out(store: Store, pictures: list[str], freeze: Freeze) -> None:
    store.put("raw/README.txt", b"scanned in spring")
    store.put("raw/3/deep/er.png", store.get(pictures[0]))
    store.put("raw/metadata.csv", store.get("raw/metadata.csv") + b"7/gone.png,left\n")
    assert freeze() == 0
    assert findings(store)["layout"].samples == ("3/deep/er.png", "README.txt")
    assert findings(store)["metadata"].samples == ("7/gone.png",)
    assert result(store).passed


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("fields", "code", "kind", "says"),
    [
        pytest.param(
            {"sources": (Source(name="tape", format="image-folder", prefix="none/"),)}, 65, "BadData", "none/ has no <class>/", id="empty"
        ),
        pytest.param({"splits": Splits(train=0.7, val=0.2, test=0.2)}, 64, "SpecError", "sum to 1", id="ratios"),
        pytest.param({"checks": Checks(class_pattern="(")}, 64, "SpecError", "not a regular expression", id="pattern"),
        pytest.param({"checks": Checks(max_imbalance="ten")}, 64, "SpecError", "write a decimal number", id="imbalance"),
        pytest.param({"previous": digest_of(b"")}, 65, "BadData", "is not in the store", id="previous manifest"),
    ],
)
def test_what_cannot_be_done_is_filed_with_its_kind(
    fields: dict[str, Any], code: int, kind: str, says: str, store: Store, freeze: Freeze, tmp_path: Path
) -> None:
    assert freeze(**fields) == code
    cause = Cause.model_validate_json(store.get(cause_key(prefix(), 0)))
    assert (cause.kind, cause.exit_code) == (kind, code)
    assert says in cause.message
    assert json.loads((tmp_path / "termination").read_text())["code"] == code
    assert store.stat(result_key(prefix())) is None


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("name,hand\n0/0.png,left\n", "has no column 'file_name' (it has name, hand)", id="no column for the path"),
        pytest.param("file_name;hand\n0/0.png;left\n", "values must be separated by commas", id="semicolons"),
        pytest.param("file_name,hand,hand\n0/0.png,a,b\n", "has several columns 'hand'", id="a column twice"),
        pytest.param("file_name,file_name\n0/0.png,a\n", "has several columns 'file_name'", id="the path twice"),
        pytest.param("file_name,\n0/0.png,a\n", "column 2 of 2 has no name", id="a column without a name"),
        pytest.param('file_name,hand\n0/0.png,"left\n', "line 2: unexpected end of data; close every quote", id="an open quote"),
        pytest.param("\ufefffile_name\n".encode("utf-16"), "is not in UTF-8", id="UTF-16"),
    ],
)
def test_metadata_that_cannot_be_understood_is_bad_data(content: str | bytes, says: str, store: Store, freeze: Freeze) -> None:
    store.put("raw/metadata.csv", content if isinstance(content, bytes) else content.encode())
    assert freeze() == 65
    assert says in Cause.model_validate_json(store.get(cause_key(prefix(), 0))).message


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        pytest.param(lambda path: path.replace("/", "\\"), True, id="backslashes"),
        pytest.param(lambda path: f"./{path}", True, id="from here"),
        pytest.param(lambda path: f"raw/{path}", True, id="with the folder's own path"),
        pytest.param(str.upper, True, id="capitals"),
        pytest.param(lambda path: path.partition("/")[2], True, id="without the folder of the class"),
        pytest.param(lambda path: f"nowhere/{path}", False, id="other files"),
    ],
)
def test_a_table_of_which_no_row_has_its_file_blocks_training(
    written: Callable[[str], str], hint: bool, store: Store, pictures: list[str], freeze: Freeze
) -> None:
    rows = "".join(f"{written(key.removeprefix('raw/'))},left\n" for key in pictures)
    store.put("raw/metadata.csv", f"file_name, hand\n{rows}".encode())
    assert freeze() == 0
    found = findings(store)["metadata"]
    assert (found.severity, found.count) == ("error", len(pictures))
    assert ("is meant to be" in found.message) is hint


@pytest.mark.usefixtures("pictures")
def test_spaces_around_the_names_of_columns_do_not_matter(store: Store, freeze: Freeze) -> None:
    store.put("raw/metadata.csv", store.get("raw/metadata.csv").replace(b"file_name,hand", b" file_name , hand"))
    assert freeze() == 0
    assert samples(store, result(store).manifest)[0].meta == {"hand": "left"}


def test_names_that_a_file_system_does_not_have_are_left_out(store: Store, pictures: list[str], freeze: Freeze) -> None:
    odd = ["two\nlines/1.png", "3/tab\there.png"]
    for name in odd:
        store.put(f"raw/{name}", store.get(pictures[0]))
    assert freeze() == 0
    assert set(findings(store)["layout"].samples) == set(odd)
    assert result(store).passed


def test_pictures_that_no_model_takes_are_no_corrupt_files(store: Store, pictures: list[str], freeze: Freeze) -> None:
    store.put("raw/3/thin.png", png(np.zeros((1, 300), np.uint8)))
    store.put("raw/3/heavy.png", store.get(pictures[0]) + b"\0" * 8_400_000)
    assert freeze() == 0
    assert not result(store).passed
    thin, heavy = sorted(findings(store)["large"].samples, reverse=True)
    assert "the longer edge of the picture is more than 100 times its shorter one" in thin
    assert "models take at most 8388608 (input.maxBytes)" in heavy


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("gone", ["raw/3/gone.png", "raw/metadata.csv"])
def test_a_file_that_is_deleted_while_the_source_is_read_is_named_and_tried_again(
    gone: str, store: Store, freeze: Freeze, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(gone, b"x")
    listed = Store.list

    def list_then_delete(self: Store, prefix: str) -> list[Entry]:
        found = list(listed(self, prefix))
        self._client.remove_object(self.config.bucket, self.full(gone))
        return found

    monkeypatch.setattr(Store, "list", list_then_delete)
    assert freeze() == 75
    cause = Cause.model_validate_json(store.get(cause_key(prefix(), 0)))
    assert (cause.kind, cause.message) == (
        "TryAgain",
        f"{store.uri(gone)} was deleted after it had been listed; leave a source as it is while it is snapshotted",
    )
    monkeypatch.undo()


@pytest.mark.usefixtures("pictures")
def test_a_store_that_refuses_the_key_is_said_in_the_last_word(
    freeze: Freeze, store_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store_folder / "secretKey").write_text("wrong")
    monkeypatch.setattr("bramble_workloads.store.time.sleep", lambda _: None)
    monkeypatch.setattr("bramble_workloads.store.time.monotonic", itertools.count(step=60.0).__next__)
    assert freeze() == 75
    word = json.loads((tmp_path / "termination").read_text())
    assert word["key"] == ""
    assert "correct secretKey in Secret bramble-store" in word["message"]
    assert "wrong" not in word["message"].split()


@pytest.mark.usefixtures("pictures")
def test_a_full_disk_is_tried_again_and_says_what_is_full(store: Store, freeze: Freeze, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bramble_workloads.snapshot.step.distinct", full)
    assert freeze() == 75
    cause = Cause.model_validate_json(store.get(cause_key(prefix(), 0)))
    assert cause.kind == "TryAgain"
    assert "the disk of this node is full ([Errno 28] No space left on device)" in cause.message


def test_blobs_are_left_alone_by_name(store: Store, pictures: list[str], freeze: Freeze) -> None:
    """Source keys may change or go: the version does not."""
    assert freeze() == 0
    first = samples(store, result(store).manifest)[0]
    for key in pictures:
        store.put(key, b"gone")
    assert digest_of(store.get(blob_key(first.id))) == first.id
