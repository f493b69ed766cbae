"""Decides which duplicates are kept, and which pictures must be in the same split. The functions are pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Protocol

from bramble.contracts.canonical import digest_of
from bramble.contracts.jobs.snapshot import Finding
from bramble.contracts.manifest import SPLITS, Departed, Sample, Split
from bramble_workloads.snapshot.findings import finding
from bramble_workloads.snapshot.samples import Picture
from bramble_workloads.snapshot.splits import Group

Policy = Literal["drop", "keep", "fail"]


@dataclass(frozen=True, slots=True)
class Grouped:
    """The pictures that are kept, the group of each by the picture's id, and the findings."""

    pictures: tuple[Picture, ...]
    group_of: Mapping[str, str]
    groups: tuple[Group, ...]
    findings: tuple[Finding, ...]


class _Forest:
    """Disjoint sets of groups that the source states (union-find), by number: near-duplicates join them. The root of a set has the split
    and the name from an earlier version.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._parents: list[int] = []
        self._splits: list[Split | None] = []
        self._previous: list[str | None] = []

    def add(self, name: str, split: Split | None, previous: str | None) -> int:
        """Add a group. Returns its number."""
        self._names.append(name)
        self._parents.append(len(self._parents))
        self._splits.append(split)
        self._previous.append(previous)
        return len(self._parents) - 1

    def split(self, number: int) -> Split | None:
        """The split of the set that a group is in."""
        return self._splits[self._root(number)]

    def name(self, number: int) -> str:
        """The name of that set."""
        root = self._root(number)
        return self._previous[root] or self._names[root]

    def join(self, numbers: Iterable[int]) -> None:
        """Make one set of those that these groups are in."""
        roots = list(dict.fromkeys(map(self._root, numbers)))
        first = min(roots, key=lambda root: self._names[root])
        split = next((self._splits[root] for root in roots if self._splits[root]), None)
        previous = min((name for root in roots if (name := self._previous[root])), default=None)
        for root in roots:
            self._parents[root] = first
        self._splits[first], self._previous[first] = split, previous

    def _root(self, number: int) -> int:
        parents = self._parents
        while parents[number] != number:
            parents[number] = number = parents[parents[number]]
        return number


class Near(Protocol):
    """Finds near-duplicates among the pictures that were added, by their index; `snapshot.near.NearIndex`."""

    def add(self, picture: int, /) -> None:
        """Let later pictures be compared with this one."""

    def join(self, pictures: Iterable[int], /) -> None:
        """Make one set of these pictures: it is enough that `near` finds one of them."""

    def near(self, picture: int, /) -> list[int]:
        """The near-duplicates of a picture, one of each set."""


def group(
    pictures: Sequence[Picture],
    near: Near,
    policy: Policy,
    *,
    group_by: str | None,
    stratify_by: Sequence[str],
    previous: Mapping[str, Sample | Departed],
) -> Grouped:
    """Drop or keep duplicates as the policy says, and join groups that near-duplicates connect.

    Near-duplicates with different annotations are never dropped: one of them may be wrong, or the difference is small, as an animal in the
    frame of a fixed camera is. They are in one group.

    Args:
        pictures: the pictures, sorted by id.
        near: has no picture yet.
        policy: `drop` keeps one of the near-duplicates with one annotation. `keep` keeps all of them in one group; equal files are one
            sample with their number as its weight. `fail` does the same as `keep`, and blocks training.
        group_by: the column whose values are groups. Without it, each picture is a group of its own.
        stratify_by: the columns that make the strata, besides the class.
        previous: the samples of the previous version and of all before it, by id. If one of two pictures must be dropped,
            it is the one that is not in there.
    """
    order = sorted(range(len(pictures)), key=lambda index: (pictures[index].id not in previous, pictures[index].id))
    forest, base, moved = _nodes(pictures, group_by, previous)
    kept: dict[int, Picture] = {}
    dropped: list[str] = []
    conflicting: list[str] = []
    alike: set[int] = set()
    contradicting: list[tuple[int, int]] = []
    for index in order:
        similar = near.near(index)
        agreeing = [other for other in similar if pictures[other].annotation == pictures[index].annotation]
        if agreeing and policy == "drop":
            dropped.append(pictures[index].keys[0])
            continue
        names = [base[index], *(base[other] for other in similar)]
        if len(set(map(forest.split, names)) - {None}) > 1:
            if agreeing:
                conflicting.append(pictures[index].keys[0])
                continue
            names = _in_one_split(names, forest)
        forest.join(names)
        kept[index] = pictures[index]
        near.add(index)
        if agreeing:  # the policy keeps all of them
            near.join([index, *agreeing])
            alike.update([index, *agreeing])
        else:
            contradicting += [(index, other) for other in similar]
    findings = [
        *_duplicates(pictures, [pictures[index].keys[0] for index in sorted(alike)], dropped, policy),
        *_contradictions(pictures, contradicting),
        *_moved(conflicting, moved, group_by),
        *_missing_columns(pictures, [*([group_by] if group_by else []), *stratify_by]),
    ]
    group_of = {picture.id: forest.name(base[index]) for index, picture in kept.items()}
    groups = _groups(kept, group_of, forest, base, stratify_by)
    return Grouped(tuple(sorted(kept.values(), key=lambda picture: picture.id)), group_of, groups, tuple(findings))


def _in_one_split(numbers: Sequence[int], forest: _Forest) -> list[int]:
    """Those of the groups that are in the split of the first one that has a split, or in none."""
    splits = [forest.split(number) for number in numbers]
    first = next(split for split in splits if split is not None)
    return [number for number, split in zip(numbers, splits, strict=True) if split in (None, first)]


def _nodes(
    pictures: Sequence[Picture], group_by: str | None, previous: Mapping[str, Sample | Departed]
) -> tuple[_Forest, list[int], list[str]]:
    """Make the groups that the source states.

    Returns:
        The groups, the number of each picture's group, and the ids of pictures that change their split because of a changed `group_by`.
    """
    forest = _Forest()
    members: dict[str, list[int]] = defaultdict(list)
    base = [-1] * len(pictures)
    moved: list[str] = []
    for index, picture in enumerate(pictures):
        value = picture.meta.get(group_by) if group_by else None
        if value is not None:
            members[digest_of(f"{group_by}={value}".encode())].append(index)
        else:
            before = previous.get(picture.id)
            base[index] = forest.add(picture.id, *((before.split, before.group) if before else (None, None)))
    for name, held in members.items():
        former = [previous[pictures[index].id] for index in held if pictures[index].id in previous]
        split = _most_common(Counter(sample.split for sample in former)) if former else None
        number = forest.add(name, split, min((sample.group for sample in former if sample.split == split), default=None))
        for index in held:
            base[index] = number
        moved.extend(sample.id for sample in former if sample.split != split)
    return forest, base, sorted(moved)


def _most_common(count: Mapping[Split, int]) -> Split:
    """The split with the most samples; of two with equally many, the earlier one in `SPLITS`."""
    return max(SPLITS, key=lambda split: count[split])


def _groups(
    kept: Mapping[int, Picture], group_of: Mapping[str, str], forest: _Forest, base: Sequence[int], stratify_by: Sequence[str]
) -> tuple[Group, ...]:
    strata: dict[tuple[str, ...], tuple[str, ...]] = {}  # one object of equal ones
    found = []
    order = sorted(kept, key=lambda index: (group_of[kept[index].id], index))
    for name, indices in groupby(order, key=lambda index: group_of[kept[index].id]):
        held = list(indices)
        stratum = _stratum([kept[index] for index in held], stratify_by)
        found.append(Group(name, len(held), strata.setdefault(stratum, stratum), forest.split(base[held[0]])))
    return tuple(found)


def _stratum(pictures: Iterable[Picture], columns: Sequence[str]) -> tuple[str, ...]:
    """The most common class and values among the pictures of a group; of two that are equally common, the first in sorted order."""
    count = Counter((picture.annotation.stratum, *(picture.meta.get(column, "") for column in columns)) for picture in pictures)
    return min(count, key=lambda stratum: (-count[stratum], stratum))


def _duplicates(pictures: Sequence[Picture], near: Sequence[str], dropped: Sequence[str], policy: Policy) -> Iterable[Finding]:
    equal = sorted(key for picture in pictures for key in picture.keys[1:])
    if policy == "drop":
        if found := sorted([*equal, *dropped]):
            yield finding("duplicates", "info", "duplicates and near-duplicates of other samples are left out", found)
    elif found := sorted({*equal, *near}):
        severity: Literal["error", "info"] = "error" if policy == "fail" else "info"
        yield finding("duplicates", severity, "duplicates and near-duplicates; each set stays in one split", found)


def _contradictions(pictures: Sequence[Picture], pairs: Iterable[tuple[int, int]]) -> Iterable[Finding]:
    if found := sorted(f"{pictures[one].keys[0]} and {pictures[other].keys[0]}" for one, other in pairs):
        message = "near-duplicates have different annotations; all are kept, in one split if they can be: correct them if one is wrong"
        yield finding("contradictions", "warning", message, found)


def _moved(conflicting: Sequence[str], moved: Sequence[str], group_by: str | None) -> Iterable[Finding]:
    if conflicting:
        yield finding("splits", "warning", "pictures that are near-duplicates of samples in two splits are left out", sorted(conflicting))
    if moved:
        yield finding("splits", "warning", f"{group_by} joins samples that were in two splits: these moved to another split", moved)


def _missing_columns(pictures: Sequence[Picture], columns: Sequence[str]) -> Iterable[Finding]:
    for column in columns:
        if lacking := sorted(picture.keys[0] for picture in pictures if column not in picture.meta):
            message = f"samples without a value for {column!r}, which splits names; add it to metadata.csv, or take it out of splits"
            yield finding("columns", "error", message, lacking)
