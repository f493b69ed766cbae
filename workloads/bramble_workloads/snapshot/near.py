"""Finds near-duplicates: a 64-bit perceptual hash finds the candidate pairs, and the pixels confirm them.

The hash is pHash (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010): the signs of the 8x8 lowest
frequencies of the discrete cosine transform of a 32x32 grey picture, about their median. It survives scaling and recompression.
Near pairs are found without comparing every pair: hashes that differ in at most `DISTANCE` bits are equal in at least one of
`DISTANCE + 1` bands of bits (Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

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
FIRST, BLOCK = 8, 64
"""How many pictures' pixels are compared at first, which is enough where most are in one set, and then at a time."""
ROUNDING = 0.01
"""The largest error of a mean brightness in float32."""


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

    Time and memory grow like the number of pictures where many are alike, as the frames of a fixed camera are: `near` compares pixels with
    one picture of each set, and `join` makes one set of pictures that belong together.

    Args:
        thumbnails: uint8 [32, 32], grey, of each picture; None for one that has no near-duplicates.
    """

    def __init__(self, thumbnails: Sequence[NDArray[np.uint8] | None]) -> None:
        at = [index for index, thumbnail in enumerate(thumbnails) if thumbnail is not None]
        self._row = {index: row for row, index in enumerate(at)}
        self._index = at
        self._small = np.stack([thumbnails[index] for index in at]) if at else np.zeros((0, 32, 32), np.uint8)  # type: ignore[misc]
        self._hashes = perceptual_hashes(self._small)
        self._brightness = self._small.mean(axis=(1, 2), dtype=np.float32)
        self._bands = [(self._hashes >> np.uint64(64 - high)) & np.uint64((1 << (high - low)) - 1) for low, high in BANDS]
        self._buckets: list[dict[int, _Rows]] = [{} for _ in BANDS]
        self._set = np.arange(len(at))
        """The set of each row, by the row of one of its pictures."""

    def add(self, picture: int) -> None:
        """Let later pictures be compared with this one, which is in a set of its own."""
        row = self._row.get(picture)
        if row is not None:
            for band, buckets in zip(self._bands, self._buckets, strict=True):
                buckets.setdefault(int(band[row]), _Rows()).append(row)

    def join(self, pictures: Iterable[int]) -> None:
        """Make one set of the sets that these pictures are in."""
        sets = {int(self._set[self._row[picture]]) for picture in pictures if picture in self._row}
        for other in sets - {min(sets, default=0)}:
            self._set[self._set == other] = min(sets)

    def near(self, picture: int) -> list[int]:
        """Of each set that has a near-duplicate of this picture, one such near-duplicate; sorted."""
        row = self._row.get(picture)
        if row is None:
            return []
        found: list[int] = []
        rows = self._alike(row)
        size = FIRST
        while len(rows):
            block, rows, size = rows[:size], rows[size:], BLOCK
            near = block[self._differences(block, row) <= PIXELS]
            if len(near):
                sets, first = np.unique(self._set[near], return_index=True)
                found += [self._index[each] for each in near[first]]
                rows = rows[~np.isin(self._set[rows], sets)]
        return sorted(found)

    def _differences(self, rows: NDArray[np.int64], row: int) -> NDArray[np.float64]:
        """The mean absolute differences between the pixels of each of some rows and those of one row."""
        difference: NDArray[np.float64] = np.abs(self._small[rows].astype(np.int16) - self._small[row]).mean(axis=(1, 2))
        return difference

    def _alike(self, row: int) -> NDArray[np.int64]:
        """The added rows whose hash is close and whose brightness may be."""
        members = [buckets[value] for band, buckets in zip(self._bands, self._buckets, strict=True) if (value := int(band[row])) in buckets]
        seen = np.zeros(len(self._hashes), np.bool_)
        for each in members:
            seen[self._close(each.rows, row)] = True
        rows = np.flatnonzero(seen)
        alike: NDArray[np.int64] = rows[np.abs(self._brightness[rows] - self._brightness[row]) <= PIXELS + ROUNDING]
        return alike

    def _close(self, rows: NDArray[np.int64], row: int) -> NDArray[np.int64]:
        close: NDArray[np.int64] = rows[np.bitwise_count(self._hashes[rows] ^ self._hashes[row]) <= DISTANCE]
        return close


class _Rows:
    """A growing array of rows."""

    def __init__(self) -> None:
        self._space = np.zeros(4, np.int64)
        self._count = 0

    @property
    def rows(self) -> NDArray[np.int64]:
        return self._space[: self._count]

    def append(self, row: int) -> None:
        if self._count == len(self._space):
            self._space = np.concatenate([self._space, np.zeros(self._count, np.int64)])
        self._space[self._count] = row
        self._count += 1
