"""Disjoint sets of groups (union-find): near-duplicates join the groups that the source states."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from bramble.contracts.manifest import SPLITS, Split
from bramble_workloads.snapshot.columns import Digests
from bramble_workloads.snapshot.previous import Placed

NO_SPLIT = -1


class Sets:
    """Disjoint sets of the numbers below a count. Indexed by a number, it gives the same one for all numbers of a set."""

    def __init__(self, count: int) -> None:
        self._parents = array("q", range(count))

    def __len__(self) -> int:
        return len(self._parents)

    def __getitem__(self, number: int) -> int:
        return _root(self._parents, number)

    def __iter__(self) -> Iterator[int]:
        return map(self.__getitem__, range(len(self)))

    def join(self, numbers: Iterable[int]) -> None:
        """Make one set of those that these numbers are in."""
        roots = sorted(set(map(self.__getitem__, numbers)))
        for root in roots[1:]:
            self._parents[root] = roots[0]


class Forest:
    """The sets, by the number of any of their groups. The root of a set has the split and the name from an earlier version."""

    def __init__(self) -> None:
        self._names = Digests()
        self._parents = array("q")
        self._splits = array("b")
        self._previous = Digests()
        """The name in an earlier version. It only counts with a split."""

    def add(self, name: str, before: Placed | None) -> int:
        """Add a group, which had the split and the name of `before`, if it was in an earlier version. Returns its number."""
        number = len(self._parents)
        self._names.append(name)
        self._parents.append(number)
        self._splits.append(SPLITS.index(before.split) if before else NO_SPLIT)
        self._previous.append(before.group if before else name)
        return number

    def split(self, number: int) -> Split | None:
        """The split of the set that a group is in."""
        split = self._splits[self._root(number)]
        return None if split == NO_SPLIT else SPLITS[split]

    def name(self, number: int) -> bytes:
        """The name of that set, a digest of 32 bytes."""
        root = self._root(number)
        return (self._names if self._splits[root] == NO_SPLIT else self._previous).raw(root)

    def join(self, numbers: Iterable[int]) -> None:
        """Make one set of those that these groups are in. All that have a split have the same one."""
        roots = list(dict.fromkeys(map(self._root, numbers)))
        first = min(roots, key=self._names.raw)
        former = [root for root in roots if self._splits[root] != NO_SPLIT]
        if former:
            self._previous[first] = min(map(self._previous.__getitem__, former))
            self._splits[first] = self._splits[former[0]]
        for root in roots:
            self._parents[root] = first

    def _root(self, number: int) -> int:
        return _root(self._parents, number)


def _root(parents: array[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = number = parents[parents[number]]
    return number
