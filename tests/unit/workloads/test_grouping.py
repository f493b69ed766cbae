from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bramble.contracts.manifest import Sample, Split
from bramble.contracts.tasks.classification import Label
from bramble_workloads.snapshot.grouping import Grouped, Policy, group, leaked
from bramble_workloads.snapshot.pictures import Picture
from bramble_workloads.snapshot.splits import assign

RATIOS: dict[Split, float] = {"train": 0.7, "val": 0.15, "test": 0.15}


def name(number: int) -> str:
    return f"sha256:{number:064x}"


def picture(number: int, label: str = "a", copies: int = 1, **meta: str) -> Picture:
    keys = tuple(f"{label}/{number}-{copy}.png" for copy in range(copies))
    return Picture(name(number), 10, ".png", Label(label=label), "scans", meta, keys)


def sample(number: int, split: Split, of: int | None = None) -> Sample:
    own, group_name = name(number), name(number if of is None else of)
    return Sample(id=own, bytes=10, extension=".png", split=split, annotation=Label(label="a"), group=group_name, origin="scans")


class Pairs:
    """Says which pictures are near by a list of pairs."""

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        self._pairs = {frozenset(pair) for pair in pairs}
        self._added: list[int] = []

    def add(self, picture: int, /) -> None:
        self._added.append(picture)

    def join(self, pictures: Iterable[int], /) -> None:
        """All near pictures are named anyway."""

    def near(self, picture: int, /) -> list[int]:
        return sorted(other for other in self._added if frozenset((picture, other)) in self._pairs)


def grouped(
    pictures: list[Picture],
    near: list[tuple[int, int]],
    policy: Policy = "drop",
    previous: list[Sample] | None = None,
    group_by: str | None = None,
) -> Grouped:
    before = {found.id: found for found in previous or []}
    return group(pictures, Pairs(near), policy, group_by=group_by, stratify_by=(), previous=before)


def kept(found: Grouped) -> list[int]:
    return [int(picture.id.removeprefix("sha256:"), 16) for picture in found.pictures]


def group_of(found: Grouped) -> dict[str, str]:
    """The name of each picture's group, by the picture's id."""
    return {picture.id: found.groups[number].id for picture, number in zip(found.pictures, found.group_of, strict=True)}


def messages(found: Grouped) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(finding.check, finding.severity, finding.samples) for finding in found.findings]


def test_drop_keeps_one_of_each_set_of_duplicates_and_names_the_others() -> None:
    found = grouped([picture(1, copies=2), picture(2), picture(3)], [(0, 1)])
    assert kept(found) == [1, 3]
    assert messages(found) == [("duplicates", "info", ("a/1-1.png", "a/2-0.png"))]


def test_drop_keeps_what_was_there_before() -> None:
    assert kept(grouped([picture(1), picture(2)], [(0, 1)], previous=[sample(2, "test")])) == [2]


def test_a_chain_of_likeness_keeps_its_ends() -> None:
    assert kept(grouped([picture(1), picture(2), picture(3)], [(0, 1), (1, 2)])) == [1, 3]


@pytest.mark.parametrize("policy", ["drop", "keep", "fail"])
def test_near_duplicates_with_different_labels_all_stay_in_one_group_and_are_named(policy: Policy) -> None:
    found = grouped([picture(1, "empty"), picture(2, "deer"), picture(3, "deer")], [(0, 1)], policy)
    assert kept(found) == [1, 2, 3]
    assert group_of(found)[name(1)] == group_of(found)[name(2)] != group_of(found)[name(3)]
    assert messages(found) == [("contradictions", "warning", ("deer/2-0.png and empty/1-0.png",))]


def test_of_a_fixed_camera_one_frame_of_each_label_stays() -> None:
    pictures = [picture(number, "empty" if number % 2 else "deer") for number in range(1, 9)]
    found = grouped(pictures, [(one, other) for one in range(8) for other in range(one)])
    assert kept(found) == [1, 2]
    assert [message for message in messages(found) if message[0] == "contradictions"] == [
        ("contradictions", "warning", ("deer/2-0.png and empty/1-0.png",))
    ]


def test_a_class_that_loses_most_of_its_pictures_is_named_with_the_numbers() -> None:
    same = [(one, other) for one in range(5) for other in range(one)]
    found = grouped([*(picture(number, "empty") for number in range(5)), *(picture(number, "deer") for number in range(5, 8))], same)
    warning = next(each for each in found.findings if each.severity == "warning")
    assert (warning.check, warning.samples) == ("duplicates", ("empty",))
    assert "left out as near-duplicates (kept: empty 1 of 5); pictures that differ by something small" in warning.message


def test_a_picture_that_resembles_many_labels_is_named_with_one_of_them() -> None:
    labels = [picture(number, f"label-{number}") for number in range(20)]
    found = grouped(labels, [(one, other) for one in range(20) for other in range(one)])
    (contradictions,) = [each for each in found.findings if each.check == "contradictions"]
    assert contradictions.count == 19, "the pairs would grow with the square of the labels"


def test_a_label_is_not_lost_where_its_neighbours_are_in_two_splits() -> None:
    before = [sample(1, "train"), sample(2, "test")]
    found = grouped([picture(1), picture(2), picture(3, "fox")], [(0, 2), (1, 2)], previous=before)
    assert kept(found) == [1, 2, 3]
    assert group_of(found)[name(3)] == group_of(found)[name(1)], "it joins the first one"


@pytest.mark.parametrize(("policy", "severity"), [("keep", "info"), ("fail", "error")])
def test_keep_and_fail_keep_all_in_one_group(policy: Policy, severity: str) -> None:
    found = grouped([picture(1), picture(2), picture(3)], [(0, 1)], policy)
    assert kept(found) == [1, 2, 3]
    assert group_of(found)[name(1)] == group_of(found)[name(2)] != group_of(found)[name(3)]
    assert messages(found) == [("duplicates", severity, ("a/1-0.png", "a/2-0.png"))]
    assert ("remove all but one of each set" in found.findings[0].message) == (severity == "error")


def test_separate_keeps_all_in_groups_of_their_own() -> None:
    pictures = [picture(1, copies=2), picture(2), picture(3), picture(4, "deer")]
    found = grouped(pictures, [(0, 1), (1, 3)], "separate", [sample(1, "train"), sample(2, "test")])
    assert kept(found) == [1, 2, 3, 4]
    assert len(set(group_of(found).values())) == 4
    assert [each.split for each in found.groups] == ["train", "test", None, None]
    assert messages(found) == [("duplicates", "info", ("a/1-1.png",)), ("contradictions", "warning", ("deer/4-0.png and a/2-0.png",))]
    assert not any("split" in each.message for each in found.findings), "none stay in one split"
    assert not found.bound


@pytest.mark.parametrize(
    ("splits", "policy", "expected"),
    [
        pytest.param(
            "train test train test", "separate", "1 of 2 samples of test look like one of train", id="a test picture like a train picture"
        ),
        pytest.param("train val test test", "separate", "1 of 1 samples of val and 1 of 2 samples of test", id="one by way of another"),
        pytest.param("test test train test", "separate", "2 of 3 samples of test", id="all that look like the one of train"),
        pytest.param("test test test train", "separate", None, id="those that look alike are in one split"),
        pytest.param("train train train test", "separate", None, id="all of them are learned from"),
        pytest.param("train test test val", "keep", None, id="near-duplicates are never apart"),
    ],
)
def test_what_separate_lets_leak_into_training_is_counted(splits: str, policy: Policy, expected: str | None) -> None:
    """Pictures 1, 2 and 3 look alike, 1 and 3 only by way of 2; picture 4 looks like none."""
    found = grouped([picture(number) for number in range(1, 5)], [(0, 1), (1, 2)], policy)
    of_picture = dict(zip(map(name, range(1, 5)), splits.split(), strict=True))
    placed = cast(list[Split], [of_picture[group.id] for group in found.groups])
    warnings = [each.message for each in leaked(found, placed, None)]
    assert len(warnings) == (expected is not None)
    assert all((expected or "") in warning for warning in warnings)
    assert all("splits.groupBy, such as by recording or hour" in warning for warning in warnings)
    grouped_already = [each.message for each in leaked(found, placed, "frame")]
    assert [warning.partition(": their")[0] for warning in grouped_already] == [warning.partition(": their")[0] for warning in warnings]
    assert all("keeps them apart by frame; a coarser column would not" in warning for warning in grouped_already)


def test_separate_leaves_the_groups_of_the_source_together() -> None:
    pictures = [picture(number, recording="r1" if number < 3 else "r2") for number in range(1, 5)]
    found = grouped(pictures, [(one, other) for one in range(4) for other in range(one)], "separate", group_by="recording")
    assert [group.size for group in found.groups] == [2, 2]


@pytest.mark.parametrize("policy", ["drop", "keep", "fail"])
def test_it_counts_for_each_class_what_near_duplicates_bind(policy: Policy) -> None:
    pictures = [picture(1), picture(2), picture(3), picture(4, "deer"), picture(5, "fox")]
    assert grouped(pictures, [(0, 1), (1, 3), (0, 3)], policy).bound == {"a": 2, "deer": 1}


def test_a_near_duplicate_of_two_splits_is_left_out_and_named() -> None:
    before = [sample(1, "train"), sample(2, "test")]
    found = grouped([picture(1), picture(2), picture(3)], [(0, 2), (1, 2)], "keep", before)
    assert kept(found) == [1, 2]
    assert ("splits", "warning", ("a/3-0.png",)) in messages(found)


def test_a_new_sample_joins_the_group_it_is_like_under_its_old_name() -> None:
    found = grouped([picture(1), picture(2)], [(0, 1)], "keep", [sample(2, "val", of=9)])
    assert {group_of(found)[name(1)], group_of(found)[name(2)]} == {name(9)}
    assert [group.split for group in found.groups] == ["val"]


def test_a_column_makes_groups() -> None:
    found = grouped([picture(1, tape="x"), picture(2, tape="y"), picture(3, tape="x")], [], group_by="tape")
    assert group_of(found)[name(1)] == group_of(found)[name(3)] != group_of(found)[name(2)]
    assert [group.size for group in found.groups] in ([2, 1], [1, 2])


def test_a_column_that_joins_two_splits_moves_the_fewer_and_says_so() -> None:
    before = [sample(1, "train"), sample(2, "train"), sample(3, "test")]
    found = grouped([picture(number, tape="x") for number in (1, 2, 3)], [], previous=before, group_by="tape")
    assert [group.split for group in found.groups] == ["train"]
    assert ("splits", "warning", (name(3),)) in messages(found)


def test_a_column_that_is_not_there_is_an_error_that_names_the_samples() -> None:
    assert ("columns", "error", ("a/2-0.png",)) in messages(grouped([picture(1, tape="x"), picture(2)], [], group_by="tape"))


numbers = st.lists(st.integers(0, 40), unique=True, min_size=2, max_size=25).map(sorted)


@given(st.data(), st.sampled_from(["drop", "keep", "fail"]), st.booleans())
def test_versions_never_leak_between_splits(data: st.DataObject, policy: Policy, by_tape: bool) -> None:
    """For any alike samples and any names of tapes: over three versions, a group stays in one split and no sample moves."""
    everything = data.draw(numbers)
    alike = data.draw(st.lists(st.tuples(st.sampled_from(everything), st.sampled_from(everything)), max_size=12))
    tapes = {number: str(data.draw(st.integers(0, 6))) for number in everything}
    previous: dict[str, Sample] = {}
    for size in (len(everything) // 3 + 1, 2 * len(everything) // 3 + 1, len(everything)):
        here = sorted(everything[:size])
        pictures = [picture(number, tape=tapes[number]) for number in here]
        near = sorted({(here.index(min(a, b)), here.index(max(a, b))) for a, b in alike if a != b and a in here and b in here})
        found = group(pictures, Pairs(near), policy, group_by="tape" if by_tape else None, stratify_by=(), previous=previous)
        placed, names = assign(found.groups, RATIOS, 7), group_of(found)
        samples = {
            kept.id: Sample(
                id=kept.id,
                bytes=1,
                extension=".png",
                split=placed[number],
                annotation=Label(label="a"),
                group=names[kept.id],
                origin="scans",
            )
            for kept, number in zip(found.pictures, found.group_of, strict=True)
        }
        stays = [samples[name].split == before.split for name, before in previous.items() if name in samples]
        assert all(stays)
        for one, other in near:
            both = samples.get(pictures[one].id), samples.get(pictures[other].id)
            if both[0] and both[1]:
                assert both[0].split == both[1].split
                assert policy != "drop"
        if by_tape:
            for tape in set(tapes.values()):
                assert len({samples[name(number)].split for number in here if tapes[number] == tape and name(number) in samples}) <= 1
        previous = samples
