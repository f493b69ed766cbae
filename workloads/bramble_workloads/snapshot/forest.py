"""Disjoint sets of groups (union-find): near-duplicates join the groups that the source states."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from bramble.contracts.manifest import SPLITS, Split
from bramble_workloads.snapshot.columns import Digests
from bramble_workloads.snapshot.previous import Placed

NO_SPLIT = -1


class Sets:
    """Disjoint sets of the numbers below a count. Indexed by a number, it gives the same one of its set for all numbers of the set."""

    def __init__(self, count: int = 0) -> None:
        self._parents = array("i", range(count))

    def __len__(self) -> int:
        return len(self._parents)

    def __getitem__(self, number: int) -> int:
        parents = self._parents
        while parents[number] != number:
            parents[number] = number = parents[parents[number]]
        return number

    def __iter__(self) -> Iterator[int]:
        return map(self.__getitem__, range(len(self)))

    def add(self) -> int:
        """Add the next number, in a set of its own, and return it."""
        self._parents.append(len(self))
        return len(self) - 1

    def join(self, numbers: Iterable[int]) -> None:
        """Make one set of those that these numbers are in."""
        roots = sorted(set(map(self.__getitem__, numbers)))
        for root in roots[1:]:
            self._parents[root] = roots[0]


class Forest:
    """The sets of groups, by the number of any group in them. What is known of a set stands at the number that `Sets` gives for it."""

    def __init__(self) -> None:
        self._sets = Sets()
        self._splits = array("b")
        self._names = Digests()
        """The first of the names of its groups: with a split, of those in an earlier version."""

    def add(self, name: str, before: Placed | None) -> int:
        """Add a group, which had the split and the name of `before`, if it was in an earlier version. Returns its number."""
        self._names.append(before.group if before else name)
        self._splits.append(SPLITS.index(before.split) if before else NO_SPLIT)
        return self._sets.add()

    def split(self, number: int) -> Split | None:
        """The split of the set that a group is in."""
        split = self._splits[self._sets[number]]
        return None if split == NO_SPLIT else SPLITS[split]

    def name(self, number: int) -> bytes:
        """The name of that set, a digest of 32 bytes."""
        return self._names.raw(self._sets[number])

    def join(self, numbers: Iterable[int]) -> None:
        """Make one set of those that these groups are in. All that have a split have the same one."""
        roots = set(map(self._sets.__getitem__, numbers))
        former = [root for root in roots if self._splits[root] != NO_SPLIT]
        self._sets.join(roots)
        joined = self._sets[next(iter(roots))]
        self._names[joined] = min(map(self._names.__getitem__, former or roots))
        if former:
            self._splits[joined] = self._splits[former[0]]
