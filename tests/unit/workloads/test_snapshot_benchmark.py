"""The work that `benchmarks/snapshot.py` measures is a whole snapshot. Nothing else runs it between two measurements."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.snapshot import MadePictures, run


class Remembering(MadePictures):
    """Also remembers what is uploaded as files, and written under keys."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.files: list[bytes] = []
        self.documents: dict[str, bytes] = {}

    def upload_blob(self, path: Path) -> tuple[str, int]:
        self.files.append(path.read_bytes())
        return super().upload_blob(path)

    def put(self, key: str, content: bytes) -> None:
        self.documents[key] = content


def test_a_benchmark_of_the_snapshot_freezes_every_picture_that_it_makes() -> None:
    store = Remembering(60)
    assert run(store) > 0
    samples = [json.loads(line) for line in store.files[0].splitlines()]
    assert len({sample["id"] for sample in samples}) == 60
    assert {sample["split"] for sample in samples} == {"train", "val", "test"}
    assert sum(len(file) for file in store.files[1:]) > sum(sample["bytes"] for sample in samples), "the shards hold the pictures"
    found = {finding["check"] for finding in json.loads(store.documents["runs/bench/findings.json"])}
    assert found == {"splits"}, "with so few pictures, some classes lack one in val or test"
