"""Decides which duplicates are kept, and which pictures must be in the same split. The functions are pure."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, groupby
from typing import Literal, Protocol

import numpy as np

from bramble.contracts.canonical import digest_of
from bramble.contracts.jobs.snapshot import Finding
from bramble.contracts.manifest import SPLITS, Split
from bramble_workloads.snapshot.columns import DIGEST_BYTES, Rows, Selected, text
from bramble_workloads.snapshot.findings import finding
from bramble_workloads.snapshot.forest import Forest, Sets
from bramble_workloads.snapshot.pictures import Picture
from bramble_workloads.snapshot.previous import Placed
from bramble_workloads.snapshot.splits import Group, Groups

Policy = Literal["drop", "keep", "separate", "fail"]

THINNED = 0.5
"""A class that keeps a smaller share of its pictures is named."""
NAMED_AT_MOST = 10


@dataclass(frozen=True, slots=True)
class Grouped:
    """The pictures that are kept, and their groups.

    Attributes:
        pictures: the pictures, sorted by id.
        group_of: the number of each picture's group, in the order of the pictures.
        groups: the groups, sorted by id.
        bound: for each class, how many of its pictures are left out as near-duplicates, or are in a group with one.
        alike: with the policy `separate`, for each picture a number that is the same for all that look alike, directly or by way of
            others; otherwise empty.
    """

    pictures: Rows[Picture]
    group_of: Rows[int]
    groups: Rows[Group]
    findings: tuple[Finding, ...]
    bound: Mapping[str, int]
    alike: Rows[int]


class Near(Protocol):
    """Finds near-duplicates among the pictures that were added, by their index; `snapshot.near.NearIndex`."""

    def add(self, picture: int, /) -> None:
        """Let later pictures be compared with this one."""

    def join(self, pictures: Iterable[int], /) -> None:
        """Make one set of these pictures: it is enough that `near` finds one of them."""

    def near(self, picture: int, /) -> list[int]:
        """The near-duplicates of a picture, one of each set."""


def group(
    pictures: Rows[Picture],
    near: Near,
    policy: Policy,
    *,
    group_by: str | None,
    stratify_by: Sequence[str],
    previous: Mapping[str, Placed],
) -> Grouped:
    """Drop or keep duplicates as the policy says, and join groups that near-duplicates connect.

    Near-duplicates with different annotations are never dropped: one of them may be wrong, or the difference is small, as an animal in the
    frame of a fixed camera is. They are in one group, unless the policy is `separate`.

    Args:
        pictures: the pictures, sorted by id.
        near: has no picture yet.
        policy: `drop` keeps one of the near-duplicates with one annotation. `keep` keeps all of them in one group; equal files are one
            sample with their number as its weight. `separate` keeps all of them, and near-duplicates join no groups. `fail` does the same
            as `keep`, and blocks training.
        group_by: the column whose values are groups. Without it, each picture is a group of its own.
        stratify_by: the columns that make the strata, besides the class.
        previous: the samples of the previous version and of all before it, by id. If one of two pictures must be dropped,
            it is the one that is not in there.
    """
    forest, base, moved = _nodes(pictures, group_by, previous)
    kept = bytearray(len(pictures))
    dropped: list[str] = []
    conflicting: list[str] = []
    alike: set[int] = set()
    resembling = bytearray(len(pictures))
    sets = Sets(len(pictures) if policy == "separate" else 0)
    contradicting: list[tuple[int, int]] = []
    for index in _earlier_first(pictures, previous):
        similar = near.near(index)
        for other in (index, *similar) if similar else ():
            resembling[other] = True
        agreeing = [other for other in similar if pictures[other].annotation == pictures[index].annotation]
        if not agreeing:
            contradicting += [(index, other) for other in similar[:1]]  # one is enough to find the others
        if policy == "separate":
            kept[index] = True
            near.add(index)
            near.join([index, *agreeing])
            sets.join([index, *similar])
            continue
        if agreeing and policy == "drop":
            dropped.append(pictures[index].keys[0])
            continue
        joined = [base[index], *(base[other] for other in similar)]
        if len(set(map(forest.split, joined)) - {None}) > 1:
            if agreeing:
                conflicting.append(pictures[index].keys[0])
                continue
            joined = _in_one_split(joined, forest)
        forest.join(joined)
        kept[index] = True
        near.add(index)
        if agreeing:  # the policy keeps all of them
            near.join([index, *agreeing])
            alike.update([index, *agreeing])
    findings = [
        *_duplicates(pictures, [pictures[index].keys[0] for index in sorted(alike)], dropped, policy),
        *_thinned(pictures, kept, dropped),
        *_contradictions(pictures, contradicting, policy),
        *_moved(conflicting, moved, group_by),
        *_missing_columns(pictures, [*([group_by] if group_by else []), *stratify_by]),
    ]
    chosen = array("q", (index for index, keep in enumerate(kept) if keep))
    left = Selected(pictures, chosen)
    group_of, groups = _groups(left, Selected(base, chosen), forest, stratify_by)
    if policy == "separate":
        return Grouped(left, group_of, groups, tuple(findings), {}, sets)
    return Grouped(left, group_of, groups, tuple(findings), _bound(pictures, resembling), ())


def _bound(pictures: Rows[Picture], resembling: Iterable[int]) -> Counter[str]:
    bound = Counter[str]()
    for picture in compress(pictures, resembling):
        bound.update(set(picture.annotation.classes))
    return bound


def _earlier_first(pictures: Rows[Picture], previous: Mapping[str, Placed]) -> Iterator[int]:
    """The pictures that an earlier version has, and then the others."""
    earlier = bytearray(picture.id in previous for picture in pictures) if previous else bytes(len(pictures))
    yield from (index for index, known in enumerate(earlier) if known)
    yield from (index for index, known in enumerate(earlier) if not known)


def _in_one_split(numbers: Sequence[int], forest: Forest) -> list[int]:
    """Those of the groups that are in the split of the first one that has a split, or in none."""
    splits = [forest.split(number) for number in numbers]
    first = next(split for split in splits if split is not None)
    return [number for number, split in zip(numbers, splits, strict=True) if split in (None, first)]


def _nodes(pictures: Rows[Picture], group_by: str | None, previous: Mapping[str, Placed]) -> tuple[Forest, array[int], list[str]]:
    """Make the groups that the source states.

    Returns:
        The groups, the number of each picture's group, and the ids of pictures that change their split because of a changed `group_by`.
    """
    forest = Forest()
    members: dict[str, array[int]] = defaultdict(lambda: array("q"))
    base = array("i", [-1]) * len(pictures)
    moved: list[str] = []
    for index, picture in enumerate(pictures):
        value = picture.meta.get(group_by) if group_by else None
        if value is not None:
            members[digest_of(f"{group_by}={value}".encode())].append(index)
        else:
            base[index] = forest.add(picture.id, previous.get(picture.id))
    for name, held in members.items():
        split = _most_common(Counter(before.split for before in _earlier(pictures, held, previous)))
        kept = (before for before in _earlier(pictures, held, previous) if before.split == split)
        number = forest.add(name, min(kept, key=lambda before: before.group, default=None))
        for index in held:
            base[index] = number
        moved.extend(before.id for before in _earlier(pictures, held, previous) if before.split != split)
    return forest, base, sorted(moved)


def _earlier(pictures: Rows[Picture], held: Iterable[int], previous: Mapping[str, Placed]) -> Iterator[Placed]:
    """The samples of earlier versions among some pictures."""
    return (before for index in held if (before := previous.get(pictures[index].id)) is not None) if previous else iter(())


def _most_common(count: Mapping[Split, int]) -> Split:
    """The split with the most samples; of two with equally many, the earlier one in `SPLITS`."""
    return max(SPLITS, key=lambda split: count[split])


def _groups(pictures: Rows[Picture], base: Rows[int], forest: Forest, stratify_by: Sequence[str]) -> tuple[Rows[int], Groups]:
    """Make the groups of the pictures that are kept: those with one name. Returns the number of each picture's group, and the groups."""
    content = bytearray()
    for number in base:
        content += forest.name(number)
    names = np.frombuffer(content, f"S{DIGEST_BYTES}")
    group_of, groups = array("q", [0]) * len(pictures), Groups()
    for _, indices in groupby(np.argsort(names, kind="stable"), key=names.__getitem__):
        held = array("q", indices)
        for index in held:
            group_of[index] = len(groups)
        number = base[held[0]]
        groups.append(Group(text(forest.name(number)), len(held), _stratum(Selected(pictures, held), stratify_by), forest.split(number)))
    return group_of, groups


def _stratum(pictures: Iterable[Picture], columns: Sequence[str]) -> tuple[str, ...]:
    """The most common class and values among the pictures of a group; of two that are equally common, the first in sorted order."""
    count = Counter((picture.annotation.stratum, *(picture.meta.get(column, "") for column in columns)) for picture in pictures)
    return min(count, key=lambda stratum: (-count[stratum], stratum))


def _duplicates(pictures: Rows[Picture], near: Sequence[str], dropped: Sequence[str], policy: Policy) -> Iterable[Finding]:
    equal = sorted(key for picture in pictures for key in picture.keys[1:])
    if policy == "drop":
        if found := sorted([*equal, *dropped]):
            yield finding("duplicates", "info", "duplicates and near-duplicates of other samples are left out", found)
    elif policy == "separate":
        if equal:
            yield finding("duplicates", "info", "equal files are one sample", equal)
    elif found := sorted({*equal, *near}):
        severity: Literal["error", "info"] = "error" if policy == "fail" else "info"
        advice = ": remove all but one of each set, or choose another policy in spec.checks.duplicates" if policy == "fail" else ""
        yield finding("duplicates", severity, f"duplicates and near-duplicates; each set stays in one split{advice}", found)


def leaked(grouped: Grouped, placed: Sequence[Split], group_by: str | None) -> Iterable[Finding]:
    """With the policy `separate`: samples of val and test that look like one of train, so that their scores may be too high.

    Args:
        grouped: the pictures and their groups.
        placed: the split of each group.
        group_by: the column whose values are groups.
    """
    splits = [placed[number] for number in grouped.group_of] if len(grouped.alike) else []
    trained = {first for first, split in zip(grouped.alike, splits, strict=True) if split == "train"}
    parts, keys = [], []
    for wanted in ("val", "test"):
        members = [index for index, split in enumerate(splits) if split == wanted]
        if found := [index for index in members if grouped.alike[index] in trained]:
            parts.append(f"{len(found)} of {len(members)} samples of {wanted}")
            keys += [grouped.pictures[index].keys[0] for index in found]
    if parts:
        message = f"checks.duplicates is separate, and {' and '.join(parts)} look like one of train, directly or by way of others"
        advice = "their scores may be too high; splits.groupBy, such as by recording or hour, keeps the nearest together"
        if group_by is not None:
            advice = f"their scores may be too high: splits.groupBy keeps them apart by {group_by}; a coarser column would not"
        yield finding("duplicates", "warning", f"{message}: {advice}", sorted(keys))


def _thinned(pictures: Rows[Picture], kept: Sequence[int], dropped: Sequence[str]) -> Iterable[Finding]:
    """Classes that lose most of their pictures to near-duplicates, as the frames of a fixed camera do. Equal files do not count."""
    if not dropped:
        return
    have, left = Counter[str](), Counter[str]()
    for picture, keep in zip(pictures, kept, strict=True):
        have.update(picture.annotation.classes)
        if keep:
            left.update(picture.annotation.classes)
    if thinned := sorted(name for name, count in have.items() if left[name] < THINNED * count):
        numbers = ", ".join(f"{name} {left[name]} of {have[name]}" for name in thinned[:NAMED_AT_MOST])
        message = f"classes of which most pictures are left out as near-duplicates (kept: {numbers})"
        advice = "pictures that differ by something small count as such: crop them to it, or keep all with duplicates: separate, at a risk"
        yield finding("duplicates", "warning", f"{message}; {advice}", thinned)


def _contradictions(pictures: Rows[Picture], pairs: Iterable[tuple[int, int]], policy: Policy) -> Iterable[Finding]:
    if found := sorted(f"{pictures[one].keys[0]} and {pictures[other].keys[0]}" for one, other in pairs):
        where = "" if policy == "separate" else ", in one split if they can be"
        message = f"near-duplicates have different annotations; all are kept{where}: correct them if one is wrong"
        yield finding("contradictions", "warning", message, found)


def _moved(conflicting: Sequence[str], moved: Sequence[str], group_by: str | None) -> Iterable[Finding]:
    if conflicting:
        yield finding("splits", "warning", "pictures that are near-duplicates of samples in two splits are left out", sorted(conflicting))
    if moved:
        yield finding("splits", "warning", f"{group_by} joins samples that were in two splits: these moved to another split", moved)


def _missing_columns(pictures: Rows[Picture], columns: Sequence[str]) -> Iterable[Finding]:
    for column in columns:
        if lacking := sorted(picture.keys[0] for picture in pictures if column not in picture.meta):
            message = f"samples without a value for {column!r}, which splits names; add it to metadata.csv, or take it out of splits"
            yield finding("columns", "error", message, lacking)
