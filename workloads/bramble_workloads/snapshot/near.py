"""Finds near-duplicates: a 64-bit perceptual hash finds the candidate pairs, and the pixels confirm them.

The hash is pHash (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010): the signs of the 8x8 lowest
frequencies of the discrete cosine transform of a 32x32 grey picture, about their median. It survives scaling and recompression.
Near pairs are found without comparing every pair: hashes that differ in at most `DISTANCE` bits are equal in at least one of
`DISTANCE + 1` bands of bits (Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DISTANCE = 2
"""The number of bits by which the hashes of near-duplicates may differ."""
PIXELS = 6.0
"""The largest mean absolute difference of pixel values (0 to 255) between near-duplicates. Recompression stays below 4."""
LOWEST = 8
BANDS = ((0, 22), (22, 43), (43, 64))
"""The bits [from, to) of each band."""
FIRST, GROWTH = 8, 4
"""How many pictures are looked at first, which is enough where most are in one set, and by what that grows each time."""
BLOCK = 64
"""How many pictures' pixels are compared at a time."""
FEW = 64
"""In a bucket of so many sets, the search ends when each of them was found."""
ROUNDING = 0.01
"""The largest error of a mean brightness in float32."""
CHUNK = 256
"""How many pictures are hashed at a time."""
MANY = 64
"""A bucket of more pictures has an array of its own."""
ABSENT = -1


class Pixels(Protocol):
    """Thumbnails in a file (`snapshot.spool.Thumbnails`), or an array of them."""

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """The thumbnails of some rows, uint8 [N, 32, 32]."""


def perceptual_hashes(small: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Compute the hashes, uint64 [N], of grey pictures, uint8 [N, 32, 32]."""
    edge = small.shape[-1]
    frequency, position = np.arange(LOWEST)[:, None], np.arange(edge)[None, :]
    basis = np.cos(math.pi * frequency * (2 * position + 1) / (2 * edge)).astype(np.float32)  # DCT-II
    spectrum = np.rint(basis @ small.astype(np.float32) @ basis.T).reshape(len(small), LOWEST * LOWEST)
    spectrum[:, 0] = 0  # leaves out the mean brightness; rounding removes the noise of pictures with one colour
    bits = spectrum > np.median(spectrum, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).reshape(len(small))


class NearIndex:
    """Finds near-duplicates among the pictures that were added to it.

    Time and memory grow like the number of pictures where many are alike, as the frames of a fixed camera are: `join` makes one set of
    pictures that belong together, and `near` looks for one picture of each set, beginning with those that were added last.

    Args:
        pixels: thumbnails, uint8 [32, 32] each, grey: an array of rows gives uint8 [N, 32, 32], as a numpy array does.
        rows: the row of each picture in `pixels`; None for one that has no near-duplicates.
    """

    def __init__(self, pixels: Pixels, rows: Sequence[int | None]) -> None:
        self._pixels = pixels
        self._rows = np.fromiter((ABSENT if row is None else row for row in rows), np.int64, len(rows))
        count = len(rows)
        self._hashes, self._brightness = np.zeros(count, np.uint64), np.zeros(count, np.float32)
        present = np.flatnonzero(self._rows != ABSENT)
        for start in range(0, len(present), CHUNK):
            chunk = present[start : start + CHUNK]
            small = pixels[self._rows[chunk]]
            self._hashes[chunk], self._brightness[chunk] = perceptual_hashes(small), small.mean(axis=(1, 2), dtype=np.float32)
        self._added = np.zeros(count, np.bool_)
        self._buckets = [_Buckets(self._hashes, low, high) for low, high in BANDS]
        self._set = np.arange(count, dtype=np.int32)
        """The set of each picture, by one of its pictures."""
        self._next, self._size = np.arange(count, dtype=np.int32), np.ones(count, np.int32)
        """The pictures of each set as a circle, and the size of a set at the picture that names it."""

    def add(self, picture: int) -> None:
        """Let later pictures be compared with this one, which is in a set of its own."""
        if self._rows[picture] != ABSENT:
            self._added[picture] = True
            for buckets in self._buckets:
                buckets.add(picture)

    def join(self, pictures: Iterable[int]) -> None:
        """Make one set of the sets that these pictures are in."""
        sets = {int(self._set[picture]) for picture in pictures if self._rows[picture] != ABSENT}
        if not sets:
            return
        largest = max(sets, key=lambda name: (self._size[name], -name))  # its pictures are those that need not be renamed
        for other in sorted(sets - {largest}):
            member = other
            for _ in range(self._size[other]):
                self._set[member] = largest
                member = self._next[member]
            self._next[other], self._next[largest] = self._next[largest], self._next[other]
            self._size[largest] += self._size[other]

    def near(self, picture: int) -> list[int]:
        """Of each set that has a near-duplicate of this picture, one such near-duplicate; sorted."""
        if self._rows[picture] == ABSENT:
            return []
        found: dict[int, int] = {}
        for buckets in self._buckets:
            others, size = buckets.same(picture, self._added), FIRST
            sets = buckets.sets(picture, self._set) if len(others) > size else None
            while len(others) and not (sets is not None and sets <= found.keys()):
                others, last, size = others[:-size], others[-size:], size * GROWTH
                self._search(self._alike(last, picture), picture, found)
        return sorted(found.values())

    def _search(self, others: NDArray[np.int64], picture: int, found: dict[int, int]) -> None:
        """Add what is near to a picture, the last one of each set that is not found yet."""
        others = others[::-1]
        while len(others):
            if found:
                others = others[~np.isin(self._set[others], list(found))]
            block, others = others[:BLOCK], others[BLOCK:]
            near = block[self._differences(block, picture) <= PIXELS]
            for name, other in zip(self._set[near].tolist(), near.tolist(), strict=True):
                found.setdefault(name, other)

    def _differences(self, others: NDArray[np.int64], picture: int) -> NDArray[np.float64]:
        """The mean absolute differences between the pixels of each of some pictures and those of one picture."""
        own, theirs = self._pixels[self._rows[[picture]]], self._pixels[self._rows[others]]
        difference: NDArray[np.float64] = np.abs(theirs.astype(np.int16) - own).mean(axis=(1, 2))
        return difference

    def _alike(self, others: NDArray[np.int64], picture: int) -> NDArray[np.int64]:
        """Those of some pictures whose hash is close and whose brightness may be."""
        close = others[np.bitwise_count(self._hashes[others] ^ self._hashes[picture]) <= DISTANCE]
        alike: NDArray[np.int64] = close[np.abs(self._brightness[close] - self._brightness[picture]) <= PIXELS + ROUNDING]
        return alike


class _Buckets:
    """The pictures by the bits of one band: those with equal bits are one bucket.

    Two sorted arrays take eight bytes a picture. A bucket of many, as the frames of a fixed camera are, also has an array of those that
    were added, so that the others need not be looked at.

    Args:
        hashes: of the pictures.
        low, high: the bits [from, to) of the band.
    """

    def __init__(self, hashes: NDArray[np.uint64], low: int, high: int) -> None:
        self._hashes = hashes
        self._shift, self._mask = 64 - high, (1 << (high - low)) - 1
        bits = ((hashes >> np.uint64(self._shift)) & np.uint64(self._mask)).astype(np.uint32)
        self._order = np.argsort(bits, kind="stable").astype(np.int32)
        self._sorted = bits[self._order]
        self._many: dict[int, _Members] = {}

    def add(self, picture: int) -> None:
        """Let `same` find a picture."""
        first, end = self._place(picture)
        if end - first > MANY:
            self._many.setdefault(first, _Members()).append(picture)

    def same(self, picture: int, added: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The pictures that were added to the bucket of this one."""
        first, end = self._place(picture)
        if end - first > MANY:
            return self._many.get(first, EMPTY).pictures
        bucket = self._order[first:end].astype(np.int64)
        return bucket[added[bucket]]

    def sets(self, picture: int, set_of: NDArray[np.int32]) -> set[int] | None:
        """The sets of the pictures that were added to a bucket of many; None where the bucket is small, or there are many of them."""
        members = self._many.get(self._place(picture)[0])
        return members.sets(set_of) if members is not None else None

    def _place(self, picture: int) -> tuple[int, int]:
        """Where the bucket of a picture begins and ends in the order."""
        bits = np.uint32(int(self._hashes[picture]) >> self._shift & self._mask)  # for an int, numpy would convert the whole array first
        return int(self._sorted.searchsorted(bits, "left")), int(self._sorted.searchsorted(bits, "right"))


class _Members:
    """A growing array of pictures, and a list that has a picture of each of their sets."""

    __slots__ = ("_count", "_names", "_renew_at", "_space")

    def __init__(self) -> None:
        self._space = np.zeros(MANY, np.int64)
        self._count = 0
        self._names: list[int] = []
        self._renew_at = 2 * FEW

    @property
    def pictures(self) -> NDArray[np.int64]:
        return self._space[: self._count]

    def append(self, picture: int) -> None:
        if self._count == len(self._space):
            self._space = np.concatenate([self._space, np.zeros(self._count, np.int64)])
        self._space[self._count] = picture
        self._count += 1
        self._names.append(picture)

    def sets(self, set_of: NDArray[np.int32]) -> set[int] | None:
        """The sets, or None for more than `FEW`. Those that were joined since are looked for whenever the list has doubled."""
        if len(self._names) >= self._renew_at:
            self._names = np.unique(set_of[self._names]).tolist()
            self._renew_at = 2 * max(FEW, len(self._names))
        if len(self._names) >= 2 * FEW:
            return None
        found = set(set_of[self._names].tolist())
        return found if len(found) <= FEW else None


EMPTY = _Members()
