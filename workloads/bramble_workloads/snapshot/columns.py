"""Columns of a table: the values of many pictures in one block of memory. A Python object takes 50 to 120 bytes more for each value."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

DIGEST_BYTES = 32
DIGEST_PREFIX = "sha256:"
EMPTY, FEWEST_SLOTS = -1, 16


class Rows(Protocol[T_co]):
    """Values by number: a list, or a table that makes each value when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> T_co: ...

    def __iter__(self) -> Iterator[T_co]: ...


class Selected(Generic[T]):
    """Some rows of a table, in an order of their own."""

    def __init__(self, rows: Rows[T], numbers: Iterable[int]) -> None:
        self._rows = rows
        self._numbers = array("q", numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, number: int) -> T:
        return self._rows[self._numbers[number]]

    def __iter__(self) -> Iterator[T]:
        return map(self._rows.__getitem__, self._numbers)


class Texts:
    """A growing column of texts, as UTF-8."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._ends = array("q")

    def append(self, text: str) -> None:
        self._content += text.encode()
        self._ends.append(len(self._content))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, number: int) -> str:
        start = self._ends[number - 1] if number else 0
        return self._content[start : self._ends[number]].decode()

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))


class Digests:
    """A growing column of digests, which are read and written as `sha256:` and 64 hex digits, and take 32 bytes each."""

    def __init__(self) -> None:
        self._content = bytearray()

    def append(self, digest: str) -> None:
        self._content += raw(digest)

    def __len__(self) -> int:
        return len(self._content) // DIGEST_BYTES

    def __getitem__(self, number: int) -> str:
        return text(self.raw(number))

    def __setitem__(self, number: int, digest: str) -> None:
        self._content[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES] = raw(digest)

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def raw(self, number: int) -> bytes:
        """The 32 bytes of a digest. They sort as its text does."""
        return bytes(self._content[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES])

    def order(self) -> NDArray[np.int64]:
        """The numbers of all digests, sorted by digest."""
        return np.argsort(np.frombuffer(self._content, f"S{DIGEST_BYTES}"), kind="stable")

    def find(self, digest: str) -> int | None:
        """The number of a digest in a column that is sorted; None if it is not there."""
        wanted = raw(digest)
        number = bisect_left(range(len(self)), wanted, key=self.raw)
        return number if number < len(self) and self.raw(number) == wanted else None


class Places:
    """Finds the place of a digest in a growing column that is not sorted: a hash table of places, which takes 8 to 16 bytes a digest.

    Digests are evenly distributed, so their first bytes are the hash. A dict would take 200 bytes a digest.
    """

    def __init__(self, digests: Digests) -> None:
        self._digests = digests
        self._count = 0
        self._slots = array("i", [EMPTY]) * FEWEST_SLOTS

    def find(self, digest: str) -> int | None:
        """The place of a digest; None if it was not added."""
        found = self._slots[self._slot(raw(digest))]
        return None if found == EMPTY else found

    def add(self, place: int) -> None:
        """Let `find` find the digest at a place, which is not among those that were added."""
        if 2 * (self._count + 1) > len(self._slots):
            added, self._slots = self._slots, array("i", [EMPTY]) * (2 * len(self._slots))
            for each in added:
                if each != EMPTY:
                    self._slots[self._slot(self._digests.raw(each))] = each
        self._slots[self._slot(self._digests.raw(place))] = place
        self._count += 1

    def _slot(self, wanted: bytes) -> int:
        """The slot of a digest, or the empty one in which it belongs: slots are looked at one after the other from that of its hash."""
        slots, last = self._slots, len(self._slots) - 1
        slot = int.from_bytes(wanted[:8]) & last
        while (found := slots[slot]) != EMPTY and self._digests.raw(found) != wanted:
            slot = (slot + 1) & last
        return slot


def raw(digest: str) -> bytes:
    """The 32 bytes of a digest that is written as `sha256:` and 64 hex digits."""
    return bytes.fromhex(digest.removeprefix(DIGEST_PREFIX))


def text(digest: bytes) -> str:
    """A digest as `sha256:` and 64 hex digits."""
    return DIGEST_PREFIX + digest.hex()
