"""Assigns groups of samples to splits. A group that had a split keeps it, and the ratios hold within each stratum. Pure."""

from __future__ import annotations

import hashlib
from collections import defaultdict
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
        split: the split in the previous manifest; None for a new group.
    """

    id: str
    size: int
    stratum: tuple[str, ...]
    split: Split | None = None


def assign(groups: Iterable[Group], ratios: Mapping[Split, float], seed: int) -> dict[str, Split]:
    """Choose the split of each group. Returns it by the group's id.

    Groups that had a split keep it. The new groups of a stratum are taken in the order of sha256(seed, group). Each goes to the split that
    is then furthest below its ratio of all samples of the stratum; of two that are equally far, to the earlier one in `SPLITS`. So the
    result does not depend on the order of the input or on other strata, and adding samples does not move the existing ones.
    """
    strata: dict[tuple[str, ...], list[Group]] = defaultdict(list)
    for group in groups:
        strata[group.stratum].append(group)
    wanted = [split for split in SPLITS if ratios[split] > 0]
    placed: dict[str, Split] = {}
    for members in strata.values():
        samples = sum(group.size for group in members)
        short = {split: ratios[split] * samples for split in SPLITS}
        for group in members:
            if group.split is not None:
                placed[group.id] = group.split
                short[group.split] -= group.size
        for group in sorted((group for group in members if group.split is None), key=lambda group: _order(seed, group.id)):
            split = max(wanted, key=lambda split: short[split])
            placed[group.id] = split
            short[split] -= group.size
    return placed


def _order(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}/{group}".encode()).hexdigest()
