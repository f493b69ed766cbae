"""Assigns groups of samples to splits. A group that had a split keeps it, and the ratios hold within each stratum and over all. Pure."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bramble.contracts.manifest import SPLITS, Split
from bramble_workloads.snapshot.columns import Digests, Rows


class Group(NamedTuple):
    """Samples that must be in the same split.

    Attributes:
        id: a digest.
        size: the number of samples.
        stratum: the class and the values of columns. The ratios of the splits hold within each stratum.
        split: the split in an earlier version; None for a new group.
    """

    id: str
    size: int
    stratum: tuple[str, ...]
    split: Split | None = None


class Groups:
    """A growing table of groups, whose ids are digests. It holds columns, and makes a `Group` when a row is read."""

    def __init__(self) -> None:
        self._ids = Digests()
        self._sizes = array("q")
        self._strata: list[tuple[str, ...]] = []
        self._splits: list[Split | None] = []
        self._same: dict[tuple[str, ...], tuple[str, ...]] = {}
        """One object of equal strata."""

    def append(self, group: Group) -> None:
        self._ids.append(group.id)
        self._sizes.append(group.size)
        self._strata.append(self._same.setdefault(group.stratum, group.stratum))
        self._splits.append(group.split)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, number: int) -> Group:
        return Group(self._ids[number], self._sizes[number], self._strata[number], self._splits[number])

    def __iter__(self) -> Iterator[Group]:
        return map(self.__getitem__, range(len(self)))


def assign(groups: Rows[Group], ratios: Mapping[Split, float], seed: int) -> list[Split]:
    """Choose the split of each group. Returns them in the order of the groups.

    Groups that had a split keep it. The strata are taken in order of their values, and the new groups of a stratum in the order of
    sha256(seed, group). Each group goes to the split that is then furthest below its ratio of all samples of the stratum; of two that are
    equally far, to the earlier one in `SPLITS`. What rounding leaves over in one stratum is carried to the next, so that the ratios also
    hold over many strata of few samples. If a split with a ratio still has nothing, a new group of the largest split is moved to it. So
    the splits do not depend on the order of the input, and adding samples does not move the existing ones.
    """
    strata: dict[tuple[str, ...], array[int]] = defaultdict(lambda: array("q"))
    samples = Counter[tuple[str, ...]]()
    for number, group in enumerate(groups):
        strata[group.stratum].append(number)
        samples[group.stratum] += group.size
    wanted = [split for split in SPLITS if ratios[split] > 0]
    placed: list[Split] = [wanted[0]] * len(groups)
    carried = dict.fromkeys(SPLITS, 0.0)
    for stratum, members in sorted(strata.items()):
        short = {split: ratios[split] * samples[stratum] + carried[split] for split in SPLITS}
        new, largest = array("q"), 0
        for number in members:
            group = groups[number]
            if group.split is not None:
                placed[number] = group.split
                short[group.split] -= group.size
            else:
                new.append(number)
                largest = max(largest, group.size)
        for number in sorted(new, key=lambda number: _order(seed, groups[number].id)):
            placed[number] = max(wanted, key=lambda split: short[split])
            short[placed[number]] -= groups[number].size
        carried = {split: min(max(short[split], -largest), largest) for split in SPLITS}
    _fill_empty(groups, placed, wanted, seed)
    return placed


def _fill_empty(groups: Rows[Group], placed: list[Split], wanted: Iterable[Split], seed: int) -> None:
    """Move one new group to each wanted split without samples, from the split with the most samples, as long as it keeps another group.

    The group comes from the stratum with the most samples there, so that no class loses its only sample while others have many.
    """
    for empty in [split for split in wanted if split not in placed]:
        if (most := _most_movable(groups, placed, seed)) is not None:
            placed[most] = empty


def _most_movable(groups: Rows[Group], placed: Sequence[Split], seed: int) -> int | None:
    """The new group to move; None if every split would become empty."""
    members, size = Counter(placed), Counter[Split]()
    in_stratum = Counter[tuple[Split, tuple[str, ...]]]()
    for group, split in zip(groups, placed, strict=True):
        size[split] += group.size
        in_stratum[split, group.stratum] += group.size

    def rank(number: int) -> tuple[int, int, int, bytes]:
        group, split = groups[number], placed[number]
        return size[split], in_stratum[split, group.stratum] - group.size, -group.size, _order(seed, group.id)

    movable = (number for number, group in enumerate(groups) if group.split is None and members[placed[number]] > 1)
    return max(movable, key=rank, default=None)


def _order(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}/{group}".encode()).digest()
