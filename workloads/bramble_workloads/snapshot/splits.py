"""Which group of samples goes to which split: sticky, stratified, whole groups only. Pure."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bramble.contracts.manifest import SPLITS, Split


@dataclass(frozen=True, slots=True)
class Group:
    """Samples that never stand in two splits.

    Attributes:
        id: a digest.
        size: number of samples.
        stratum: label and columns that its proportions are kept within.
        split: where the previous manifest had it; None for a new group.
    """

    id: str
    size: int
    stratum: tuple[str, ...]
    split: Split | None = None


def assign(groups: Iterable[Group], ratios: Mapping[Split, float], seed: int) -> dict[str, Split]:
    """A split for each group, by id.

    Groups that had a split keep it. The new ones of a stratum are taken in the order of sha256(seed, group), and each goes to the split
    that is then furthest below its ratio of all samples of the stratum; the earlier of `SPLITS` where two are equally far. So the outcome
    depends on neither the order of the input nor on strata beside its own, and adding samples never moves one.
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
