"""Decides which duplicates are kept, and which pictures must be in the same split. The functions are pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass
class _Node:
    """One group that the source states, before near-duplicates join groups."""

    name: str
    split: Split | None = None
    previous: str | None = None


@dataclass
class _Forest:
    """Disjoint sets of nodes (union-find). The root of a set has the split from an earlier version."""

    nodes: dict[str, _Node] = field(default_factory=dict)
    parent: dict[str, str] = field(default_factory=dict)

    def add(self, node: _Node) -> None:
        self.nodes[node.name], self.parent[node.name] = node, node.name

    def root(self, name: str) -> _Node:
        while self.parent[name] != name:
            self.parent[name] = self.parent[self.parent[name]]
            name = self.parent[name]
        return self.nodes[name]

    def join(self, names: Iterable[str]) -> None:
        roots = {root.name: root for root in map(self.root, names)}
        first = roots[min(roots)]
        for root in roots.values():
            self.parent[root.name] = first.name
        first.split = next((root.split for root in roots.values() if root.split), None)
        first.previous = min((root.previous for root in roots.values() if root.previous), default=None)


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
        if len({root.split for root in map(forest.root, names)} - {None}) > 1:
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
    group_of = {picture.id: _name(forest.root(base[index])) for index, picture in kept.items()}
    groups = _groups(kept.values(), group_of, forest, base, kept, stratify_by)
    return Grouped(tuple(sorted(kept.values(), key=lambda picture: picture.id)), group_of, groups, tuple(findings))


def _in_one_split(names: Sequence[str], forest: _Forest) -> list[str]:
    """Those of the names that are in the split of the first one that has a split, or in none."""
    splits = [forest.root(name).split for name in names]
    first = next(split for split in splits if split is not None)
    return [name for name, split in zip(names, splits, strict=True) if split in (None, first)]


def _name(root: _Node) -> str:
    return root.previous or root.name


def _nodes(
    pictures: Sequence[Picture], group_by: str | None, previous: Mapping[str, Sample | Departed]
) -> tuple[_Forest, list[str], list[str]]:
    """Make the groups that the source states.

    Returns:
        The groups, the name of each picture's group, and the ids of pictures that change their split because of a changed `group_by`.
    """
    forest = _Forest()
    base: list[str] = []
    moved: list[str] = []
    members: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        value = picture.meta.get(group_by) if group_by else None
        name = digest_of(f"{group_by}={value}".encode()) if value is not None else picture.id
        base.append(name)
        members[name].append(picture)
    for name, held in members.items():
        before = [previous[picture.id] for picture in held if picture.id in previous]
        count = Counter(sample.split for sample in before)
        split = _most_common(count) if before else None
        forest.add(_Node(name, split, min((sample.group for sample in before if sample.split == split), default=None)))
        moved.extend(sample.id for sample in before if sample.split != split)
    return forest, base, sorted(moved)


def _most_common(count: Mapping[Split, int]) -> Split:
    """The split with the most samples; of two with equally many, the earlier one in `SPLITS`."""
    return max(SPLITS, key=lambda split: count[split])


def _groups(
    kept: Iterable[Picture],
    group_of: Mapping[str, str],
    forest: _Forest,
    base: Sequence[str],
    indices: Iterable[int],
    stratify_by: Sequence[str],
) -> tuple[Group, ...]:
    members: dict[str, list[Picture]] = defaultdict(list)
    split: dict[str, Split | None] = {}
    for index, picture in zip(indices, kept, strict=True):
        members[group_of[picture.id]].append(picture)
        split[group_of[picture.id]] = forest.root(base[index]).split
    return tuple(Group(name, len(held), _stratum(held, stratify_by), split[name]) for name, held in sorted(members.items()))


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
