"""Damaged documents of a frozen dataset: each step that reads one either goes on with what it says, or ends with BadData and a message."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble.contracts.canonical import digest_of
from bramble.contracts.tasks.classification import CLASSIFICATION
from bramble_workloads.errors import BadData, SpecError
from bramble_workloads.evaluate.samples import read_manifest, read_samples
from bramble_workloads.fetch import write_image_folders
from bramble_workloads.snapshot.previous import read_previous
from bramble_workloads.train.samples import read_samples as read_folder
from tests.unit.workloads.datasets import dataset

DIGEST, BLOBS = dataset(5)
MANIFEST = json.loads(BLOBS[DIGEST])
LINE = json.loads(BLOBS[MANIFEST["samples"]].splitlines()[0])

TEXTS = ["train", "../../x", "sha256:0", DIGEST]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["split", "sha256", "label", "x"]), inner, max_size=2),
    max_leaves=4,
)


def damaged(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """The document with another value in one field, or without it, or something else altogether."""
    changed = st.builds(lambda name, value: {**document, name: value}, st.sampled_from(sorted(document)), values)
    without = st.sampled_from(sorted(document)).map(lambda name: {key: value for key, value in document.items() if key != name})
    return (changed | without | values).map(lambda made: json.dumps(made).encode()) | st.binary(max_size=9) | st.just(b"[" * 99_999)


class Blobs:
    """A store in memory."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self.blobs = blobs

    def get_blob(self, digest: str) -> bytes:
        if digest not in self.blobs:
            raise BadData(f"there is no blob {digest}: snapshot the Dataset again")
        return self.blobs[digest]

    def download_blob(self, digest: str, path: Path) -> None:
        path.write_bytes(self.get_blob(digest))


def stored(manifest: bytes | None, line: bytes | None) -> tuple[Any, bytes]:
    """The dataset with another manifest, or with another first line of its samples."""
    blobs = dict(BLOBS)
    document = MANIFEST
    if line is not None:
        content = line + b"\n" + BLOBS[MANIFEST["samples"]].split(b"\n", 1)[1]
        blobs[digest_of(content)] = content
        document = {**MANIFEST, "samples": digest_of(content)}
    found = manifest if manifest is not None else json.dumps(document).encode()
    blobs[digest_of(found)] = found
    return Blobs(blobs), found


def read_all(store: Any, manifest: bytes) -> None:
    """As each step does: none of them raises anything but BadData."""
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        data = Path(folder, "run", "data")
        data.mkdir(parents=True)
        for step in (
            lambda: write_image_folders(store, manifest, data, pool),
            lambda: read_samples(store.get_blob, read_manifest(store.get_blob, digest_of(manifest))),
            lambda: read_previous(store, digest_of(manifest), data),
        ):
            with suppress(BadData):
                step()
        assert [path.name for path in Path(folder).iterdir()] == ["run"], "nothing lies outside of the folder"
        assert [path.name for path in Path(folder, "run").iterdir()] == ["data"]


@settings(max_examples=60, deadline=None)
@given(damaged(MANIFEST))
def test_any_manifest_is_read_or_refused(manifest: bytes) -> None:
    read_all(*stored(manifest, None))


@settings(max_examples=60, deadline=None)
@given(damaged(LINE))
def test_any_sample_is_read_or_refused(line: bytes) -> None:
    read_all(*stored(None, line))


FOLDER = {"manifest.json": {"classes": list("01"), "task": CLASSIFICATION.name}}
SAMPLE = {"split": "train", "file": "train/0/a.png", "label": "0", "weight": 1.0}


@settings(max_examples=60, deadline=None)
@given(damaged(FOLDER["manifest.json"]) | st.none(), damaged(SAMPLE))
def test_any_folder_is_read_or_refused_by_the_trainer(manifest: bytes | None, line: bytes) -> None:
    with TemporaryDirectory() as folder:
        Path(folder, "manifest.json").write_bytes(manifest if manifest is not None else json.dumps(FOLDER["manifest.json"]).encode())
        Path(folder, "samples.jsonl").write_bytes(line)
        with suppress(BadData, SpecError):  # the task may be another
            read_folder(Path(folder), CLASSIFICATION)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "line 1 of samples.jsonl is no sample: JSONDecodeError"),
        (b"[]", "line 1 of samples.jsonl is no sample"),
        (json.dumps({**SAMPLE, "weight": "heavy"}).encode(), "line 1 of samples.jsonl is no sample"),
        (json.dumps({**SAMPLE, "weight": -1}).encode(), "line 1 of samples.jsonl is no sample"),
        (json.dumps({**SAMPLE, "split": "test"}).encode(), "line 1 of samples.jsonl is no sample: KeyError: 'test'"),
    ],
)
def test_the_line_is_named(line: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(FOLDER["manifest.json"]))
    (tmp_path / "samples.jsonl").write_bytes(line)
    with pytest.raises(BadData) as raised:
        read_folder(tmp_path, CLASSIFICATION)
    assert str(raised.value).startswith(said)
    assert str(raised.value).endswith("; snapshot the Dataset again")
