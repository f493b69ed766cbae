from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bramble.contracts.manifest import SPLITS, Split
from bramble_workloads.snapshot import splits
from bramble_workloads.snapshot.splits import Group

RATIOS: dict[Split, float] = {"train": 0.7, "val": 0.15, "test": 0.15}

ids = st.integers(0, 5000).map(lambda number: f"sha256:{number:064x}")
group_lists = st.lists(
    st.builds(Group, id=ids, size=st.integers(1, 5), stratum=st.sampled_from([("a",), ("b",), ("a", "x")]), split=st.none()),
    max_size=80,
    unique_by=lambda group: group.id,
)
seeds = st.integers(0, 3)


def assign(groups: list[Group], ratios: dict[Split, float], seed: int) -> dict[str, Split]:
    """The split of each group by its id."""
    return dict(zip((group.id for group in groups), splits.assign(groups, ratios, seed), strict=True))


def after(groups: list[Group], placed: dict[str, Split]) -> list[Group]:
    return [Group(group.id, group.size, group.stratum, placed[group.id]) for group in groups]


@given(group_lists, seeds)
def test_every_group_is_in_exactly_one_split(groups: list[Group], seed: int) -> None:
    placed = assign(groups, RATIOS, seed)
    assert set(placed) == {group.id for group in groups}
    assert set(placed.values()) <= set(SPLITS)


@given(group_lists, seeds, st.randoms())
def test_the_order_of_the_input_does_not_matter(groups: list[Group], seed: int, random: object) -> None:
    shuffled = list(groups)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert assign(shuffled, RATIOS, seed) == assign(groups, RATIOS, seed)


@given(group_lists, group_lists, seeds)
def test_a_group_keeps_its_split_whatever_is_added(first: list[Group], more: list[Group], seed: int) -> None:
    placed = assign(first, RATIOS, seed)
    known = {group.id for group in first}
    again = assign([*after(first, placed), *(group for group in more if group.id not in known)], RATIOS, seed)
    assert {name: again[name] for name in placed} == placed


def share(placed: dict[str, Split], split: Split) -> int:
    return sum(found == split for found in placed.values())


@pytest.mark.parametrize(
    ("kept", "new", "expected"),
    [
        pytest.param({"train": 10}, 10, {"train": 14, "val": 3, "test": 3}, id="the kept groups count: train gets fewer of the new ones"),
        pytest.param({"val": 10}, 20, {"train": 18, "val": 10, "test": 2}, id="a split beyond its ratio gets none of the new groups"),
        pytest.param({"train": 14, "val": 3, "test": 3}, 20, {"train": 28, "val": 6, "test": 6}, id="a dataset that doubles"),
        pytest.param({"train": 14, "val": 3, "test": 3}, 0, {"train": 14, "val": 3, "test": 3}, id="nothing new: nothing changes"),
        pytest.param({}, 20, {"train": 14, "val": 3, "test": 3}, id="a first version"),
    ],
)
def test_kept_groups_count_when_a_dataset_grows(kept: dict[Split, int], new: int, expected: dict[Split, int]) -> None:
    groups = [Group(f"kept-{split}-{number}", 1, ("a",), split) for split, count in kept.items() for number in range(count)]
    groups += [Group(f"new-{number}", 1, ("a",)) for number in range(new)]
    placed = assign(groups, RATIOS, 0)
    assert {split: share(placed, split) for split in SPLITS} == expected


def test_a_kept_group_counts_with_all_its_samples() -> None:
    groups = [Group("kept", 70, ("a",), "train"), *(Group(f"new-{number}", 1, ("a",)) for number in range(30))]
    placed = assign(groups, RATIOS, 0)
    assert {split: share(placed, split) for split in SPLITS} == {"train": 1, "val": 15, "test": 15}, "train has its 70 samples already"


@pytest.mark.parametrize("size", [3, 4, 5, 6])
def test_many_small_strata_together_come_near_to_the_ratios(size: int) -> None:
    """Twenty classes of few samples: each is too small for three splits, and what is left over is carried to the next."""
    groups = [Group(f"{stratum:02}-{number}", 1, (f"class-{stratum:02}",)) for stratum in range(20) for number in range(size)]
    placed = assign(groups, RATIOS, 0)
    for split in SPLITS:
        assert abs(share(placed, split) - RATIOS[split] * 20 * size) <= 1, {split: share(placed, split) for split in SPLITS}


@pytest.mark.parametrize(
    ("sizes", "filled"),
    [
        pytest.param([1, 1, 1], 3, id="three samples fill three splits"),
        pytest.param([1, 1, 1, 1], 3, id="four samples"),
        pytest.param([100, 1, 1], 3, id="one large recording and two small ones"),
        pytest.param([1, 1], 2, id="two samples cannot fill three"),
        pytest.param([50], 1, id="one recording is in one split"),
    ],
)
def test_no_split_is_empty_where_the_groups_allow_it(sizes: list[int], filled: int) -> None:
    for seed in range(20):
        placed = assign([Group(f"g{number}", size, ("a",)) for number, size in enumerate(sizes)], RATIOS, seed)
        assert len(set(placed.values())) == filled, placed


def test_an_empty_split_is_filled_from_the_class_with_the_most_samples() -> None:
    groups = [Group("rare", 1, ("rare",), "train"), *(Group(f"n{number}", 1, ("often",)) for number in range(3))]
    placed = assign(groups, {"train": 0.98, "val": 0.01, "test": 0.01}, 0)
    assert set(placed.values()) == set(SPLITS)
    assert placed["rare"] == "train"


def test_an_old_group_never_moves_to_fill_a_split() -> None:
    groups = [Group(f"old{number}", 1, ("a",), "train") for number in range(9)]
    assert set(assign(groups, RATIOS, 0).values()) == {"train"}


@given(st.integers(7, 400), seeds)
def test_single_samples_come_as_near_to_the_ratios_as_whole_samples_can(count: int, seed: int) -> None:
    placed = assign([Group(f"g{number}", 1, ("a",)) for number in range(count)], RATIOS, seed)
    for split in SPLITS:
        assert abs(sum(found == split for found in placed.values()) - RATIOS[split] * count) <= 1


@given(group_lists, seeds)
def test_a_ratio_of_zero_takes_nothing(groups: list[Group], seed: int) -> None:
    assert "test" not in assign(groups, {"train": 0.8, "val": 0.2, "test": 0.0}, seed).values()


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 2)])
def test_another_seed_is_another_split(one: int, other: int) -> None:
    groups = [Group(f"g{number}", 1, ("a",)) for number in range(100)]
    assert assign(groups, RATIOS, one) != assign(groups, RATIOS, other)
