"""What a snapshot keeps in files instead of in memory."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from bramble.contracts.canonical import digest_of
from bramble.contracts.manifest import Manifest, Sample
from bramble.contracts.tasks.classification import Label
from bramble_workloads.snapshot import freeze as freezing
from bramble_workloads.snapshot.freeze import freeze
from bramble_workloads.snapshot.pictures import Picture
from bramble_workloads.snapshot.spool import Spool, Thumbnails
from bramble_workloads.store import Store


def test_what_is_appended_is_read_at_its_place(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool") as spool:
        places = [(spool.append(content), content) for content in (b"one", b"", b"three")]
        assert [spool.read(place, len(content)) for place, content in places] == [b"one", b"", b"three"]
        later = spool.append(b"four")
        assert spool.read(later, 4) == b"four", "also after something was read"


def test_thumbnails_are_rows_of_an_array(tmp_path: Path) -> None:
    made = np.random.default_rng(0).integers(0, 256, (5, 32, 32), dtype=np.uint8)
    with Thumbnails(tmp_path / "thumbnails", 32) as thumbnails:
        assert [thumbnails.add(each) for each in made] == list(range(5))
        rows = np.array([3, 0, 3])
        np.testing.assert_array_equal(thumbnails[rows], made[rows])
        assert thumbnails[rows[:0]].shape == (0, 32, 32)


def test_shards_are_archives_of_the_small_pictures(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "SHARD_BYTES", 1000)
    contents = [bytes([number]) * (300 + number) for number in range(6)]
    with Spool(tmp_path / "spool") as spool:
        pictures = [
            Picture(digest_of(each), len(each), ".png", Label(label="a"), "scans", {}, ("a/1.png",), spooled=spool.append(each))
            for each in contents
        ]
        samples = [
            Sample(id=each.id, bytes=each.bytes, extension=".png", split="train", annotation=each.annotation, group=each.id, origin="scans")
            for each in pictures
        ]
        frozen = freeze(store, tmp_path, samples, pictures, spool, task="image-classification", seed=0, departed=())
    manifest = Manifest.model_validate_json(store.get_blob(frozen.digest))
    assert [(shard.split, shard.count) for shard in manifest.shards] == [("train", 4), ("train", 2)]
    found: dict[str, bytes] = {}
    for shard in manifest.shards:
        archive = store.get_blob(shard.sha256)
        assert len(archive) == shard.bytes
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            found |= {member.name: members.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    assert found == {f"{digest_of(each)[7:]}.png": each for each in contents}
    assert (frozen.splits, frozen.bytes) == ({"train": 6, "val": 0, "test": 0}, sum(map(len, contents)))
