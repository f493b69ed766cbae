"""What a snapshot knows of the samples of earlier versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from bramble.contracts.canonical import canonical_json
from bramble.contracts.manifest import Departed, Manifest, Split
from bramble_workloads.errors import BadData
from bramble_workloads.snapshot.previous import Previous, read_previous
from bramble_workloads.store import Store
from tests.unit.workloads.datasets import dataset


def name(number: int) -> str:
    return f"sha256:{number:064x}"


def departed(*numbers: int, split: Split = "val") -> list[Departed]:
    return [Departed(id=name(number), split=split, group=name(number // 2)) for number in numbers]


def test_a_sample_is_found_by_its_id() -> None:
    previous = Previous(departed(1, 3, 256))
    assert (len(previous), list(previous)) == (3, [name(1), name(3), name(256)])
    assert [name(number) in previous for number in (0, 1, 2, 3, 255, 256, 257)] == [False, True, False, True, False, True, False]
    assert (previous[name(3)].split, previous[name(3)].group) == ("val", name(1))
    assert previous.get(name(4)) is None
    assert previous.get(name(999)) is None


@pytest.mark.parametrize(
    ("present", "gone"),
    [
        pytest.param([], [1, 3, 5], id="nothing is left"),
        pytest.param([1, 3, 5], [], id="all are here"),
        pytest.param([0, 2, 3, 4, 9], [1, 5], id="some, among new ones"),
        pytest.param([7, 8], [1, 3, 5], id="only later ones"),
    ],
)
def test_those_that_are_not_in_the_new_version_departed(present: list[int], gone: list[int]) -> None:
    assert list(Previous(departed(1, 3, 5)).departed(map(name, present))) == departed(*gone)


@pytest.mark.parametrize("numbers", [pytest.param((2, 1), id="not sorted"), pytest.param((1, 1), id="twice")])
def test_samples_out_of_order_are_refused(numbers: tuple[int, ...]) -> None:
    """Otherwise the search would miss some of them, and they could move to another split."""
    with pytest.raises(ValueError, match=r"its samples are not sorted by id: sha256:0+1 follows"):
        Previous(departed(*numbers))


def test_samples_and_those_that_departed_before_are_read_together(store: Store, tmp_path: Path) -> None:
    digest, blobs = dataset(20)
    for content in blobs.values():
        store.put_blob(content)
    before = read_previous(store, digest, tmp_path)
    assert len(before) == 20
    ids = list(before)
    manifest = Manifest.model_validate_json(blobs[digest])
    gone = departed(0, 2**256 - 1, split="test")
    lines = b"".join(canonical_json(each) + b"\n" for each in gone)
    later = manifest.model_copy(update={"departed": store.put_blob(lines)})
    both = read_previous(store, store.put_blob(canonical_json(later)), tmp_path)
    assert list(both) == [gone[0].id, *ids, gone[1].id]
    assert both[gone[1].id].split == "test"
    assert not list(tmp_path.iterdir()), "the files are gone"


def test_a_version_with_unsorted_samples_is_bad_data(store: Store, tmp_path: Path) -> None:
    digest, blobs = dataset(20)
    manifest = Manifest.model_validate_json(blobs[digest])
    mixed = b"".join(reversed(blobs[manifest.samples].splitlines(keepends=True)))
    wrong = store.put_blob(canonical_json(manifest.model_copy(update={"samples": store.put_blob(mixed)})))
    with pytest.raises(
        BadData, match=f"the previous manifest {wrong} cannot be read, so splits cannot be kept: its samples are not sorted"
    ):
        read_previous(store, wrong, tmp_path)
