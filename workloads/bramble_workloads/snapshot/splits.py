"""Assigns groups of samples to splits. A group that had a split keeps it, and the ratios hold within each stratum and over all. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bramble.contracts.manifest import SPLITS, Split


@dataclass(frozen=True, slots=True)
class Group:
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


def assign(groups: Iterable[Group], ratios: Mapping[Split, float], seed: int) -> dict[str, Split]:
    """Choose the split of each group. Returns it by the group's id.

    Groups that had a split keep it. The strata are taken in order of their values, and the new groups of a stratum in the order of
    sha256(seed, group). Each group goes to the split that is then furthest below its ratio of all samples of the stratum; of two that are
    equally far, to the earlier one in `SPLITS`. What rounding leaves over in one stratum is carried to the next, so that the ratios also
    hold over many strata of few samples. If a split with a ratio still has nothing, a new group of the largest split is moved to it. So
    the result does not depend on the order of the input, and adding samples does not move the existing ones.
    """
    strata: dict[tuple[str, ...], list[Group]] = defaultdict(list)
    for group in groups:
        strata[group.stratum].append(group)
    wanted = [split for split in SPLITS if ratios[split] > 0]
    placed: dict[str, Split] = {}
    carried = dict.fromkeys(SPLITS, 0.0)
    for _, members in sorted(strata.items()):
        samples = sum(group.size for group in members)
        short = {split: ratios[split] * samples + carried[split] for split in SPLITS}
        for group in members:
            if group.split is not None:
                placed[group.id] = group.split
                short[group.split] -= group.size
        new = [group for group in members if group.split is None]
        for group in sorted(new, key=lambda group: _order(seed, group.id)):
            split = max(wanted, key=lambda split: short[split])
            placed[group.id] = split
            short[split] -= group.size
        largest = max((group.size for group in new), default=0)
        carried = {split: min(max(short[split], -largest), largest) for split in SPLITS}
    _fill_empty([group for members in strata.values() for group in members], placed, wanted, seed)
    return placed


def _fill_empty(groups: Iterable[Group], placed: dict[str, Split], wanted: Iterable[Split], seed: int) -> None:
    """Move one new group to each wanted split without samples, from the split with the most samples, as long as it keeps another group.

    The group comes from the stratum with the most samples there, so that no class loses its only sample while others have many.
    """
    groups = list(groups)
    for empty in [split for split in wanted if split not in placed.values()]:
        size: dict[Split, int] = defaultdict(int)
        in_stratum: dict[tuple[Split, tuple[str, ...]], int] = defaultdict(int)
        members = Counter(placed.values())
        for group in groups:
            size[placed[group.id]] += group.size
            in_stratum[placed[group.id], group.stratum] += group.size
        movable = [group for group in groups if group.split is None and members[placed[group.id]] > 1]
        if movable:
            most = max(
                movable,
                key=lambda group: (
                    size[placed[group.id]],
                    in_stratum[placed[group.id], group.stratum] - group.size,
                    -group.size,
                    _order(seed, group.id),
                ),
            )
            placed[most.id] = empty


def _order(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}/{group}".encode()).hexdigest()
