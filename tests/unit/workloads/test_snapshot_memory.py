"""What a snapshot holds in memory for each picture, counted by tracemalloc: no run decodes a picture, and no figure depends on the machine.

`benchmarks/snapshot.py` measures the resident memory of the whole step.
"""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bramble.contracts.jobs.snapshot import Source
from bramble.contracts.manifest import Departed, Split
from bramble.contracts.tasks.classification import Label
from bramble.objectstore.bucket import Entry
from bramble_workloads.snapshot.columns import Rows
from bramble_workloads.snapshot.grouping import Grouped, group
from bramble_workloads.snapshot.metadata import read_metadata
from bramble_workloads.snapshot.near import NearIndex
from bramble_workloads.snapshot.pictures import Picture
from bramble_workloads.snapshot.previous import Previous
from bramble_workloads.snapshot.samples import Read, distinct
from bramble_workloads.snapshot.sources.base import Candidate, Listing
from bramble_workloads.snapshot.sources.image_folder import ImageFolderReader
from bramble_workloads.snapshot.splits import assign
from bramble_workloads.snapshot.spool import Spool, Thumbnails
from bramble_workloads.store import Store
from bramble_workloads.tasks.base import Reading

FEW, MANY = 1000, 3000
RATIOS: dict[Split, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
LABELS = [Label(label=str(number)) for number in range(20)]


def digest(number: int) -> str:
    return f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}"


def readings(count: int) -> Iterator[Read]:
    """Pictures that differ in every pixel."""
    random = np.random.default_rng(0)
    for number in range(count):
        key = f"raw/{number % 20}/{number:08}.jpg"
        candidate = Candidate("scans", Entry(key, 1000 + number, f"{number:032x}"), LABELS[number % 20], {})
        yield Read(candidate, Reading(digest(number), 1000 + number, ".jpg", random.integers(0, 256, (32, 32), np.uint8)), b"content")


class Folder(Store):
    """Lists a folder of so many pictures."""

    def __init__(self, count: int) -> None:
        self._count = count

    def list(self, prefix: str) -> Iterator[Entry]:
        return (Entry(f"{prefix}{number % 20}/{number:08}.jpg", 1000 + number, f"{number:032x}") for number in range(self._count))


def list_folder(count: int, folder: Path) -> Listing:
    del folder
    return ImageFolderReader().read(Folder(count), Source(name="scans", format="image-folder", prefix="raw/"), Label)


def read_table(count: int, folder: Path) -> object:
    del folder
    content = "file_name,tape,taken\n" + "".join(f"{number % 20}/{number:08}.jpg,{number // 30},{number}\n" for number in range(count))
    return read_metadata(content.encode(), "s3://bucket/raw/metadata.csv")


def read_earlier(count: int, folder: Path) -> Previous:
    del folder
    ids = (f"sha256:{number:064x}" for number in range(count))
    return Previous(Departed(id=each, split="val", group=each) for each in ids)


def find_pictures(count: int, folder: Path) -> Rows[Picture]:
    with Spool(folder / f"spool-{count}") as spool, Thumbnails(folder / f"thumbnails-{count}", 32) as thumbnails:
        return distinct(readings(count), spool, thumbnails)[0]


def place_pictures(count: int, folder: Path) -> tuple[Grouped, list[Split]]:
    with Spool(folder / f"spool-{count}") as spool, Thumbnails(folder / f"thumbnails-{count}", 32) as thumbnails:
        pictures, _ = distinct(readings(count), spool, thumbnails)
        near = NearIndex(thumbnails, [picture.thumbnail for picture in pictures])
        tracemalloc.reset_peak()  # hashing takes some megabytes, however many pictures there are
        grouped = group(pictures, near, "drop", group_by=None, stratify_by=(), previous={})
    return grouped, assign(grouped.groups, RATIOS, 0)


@pytest.mark.parametrize(
    ("make", "held", "highest"),
    [
        pytest.param(list_folder, 100, 230, id="a listing"),
        pytest.param(read_table, 190, 250, id="a table of further columns"),
        pytest.param(read_earlier, 90, 120, id="the samples of an earlier version"),
        pytest.param(find_pictures, 150, 190, id="pictures"),
        pytest.param(place_pictures, 240, 400, id="pictures with their groups and splits"),
    ],
)
def test_a_picture_takes_few_bytes(make: Callable[[int, Path], object], held: int, highest: int, tmp_path: Path) -> None:
    """`held` of what is made, and `highest` while it is made; both in bytes for each picture."""

    def measure(count: int) -> tuple[int, int]:
        tracemalloc.start()
        made = make(count, tmp_path)
        found = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del made
        return found

    make(10, tmp_path)  # what is imported and cached
    few, many = measure(FEW), measure(MANY)
    each = [(more - less) / (MANY - FEW) for less, more in zip(few, many, strict=True)]
    print(each)
    assert (each[0] <= held, each[1] <= highest) == (True, True), each
