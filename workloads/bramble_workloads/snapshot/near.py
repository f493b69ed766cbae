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
FIRST, BLOCK = 8, 64
"""How many pictures' pixels are compared at first, which is enough where most are in one set, and then at a time."""
ROUNDING = 0.01
"""The largest error of a mean brightness in float32."""
CHUNK = 1024
"""How many pictures are hashed at a time."""
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

    Time and memory grow like the number of pictures where many are alike, as the frames of a fixed camera are: `near` compares pixels with
    one picture of each set, and `join` makes one set of pictures that belong together.

    Args:
        pixels: thumbnails, uint8 [32, 32] each, grey: an array of rows gives uint8 [N, 32, 32], as a numpy array does.
        rows: the row of each picture in `pixels`; None for one that has no near-duplicates.
    """

    def __init__(self, pixels: Pixels, rows: Sequence[int | None]) -> None:
        self._pixels = pixels
        self._rows = np.array([ABSENT if row is None else row for row in rows], np.int64)
        count = len(rows)
        self._hashes, self._brightness = np.zeros(count, np.uint64), np.zeros(count, np.float32)
        present = np.flatnonzero(self._rows != ABSENT)
        for start in range(0, len(present), CHUNK):
            chunk = present[start : start + CHUNK]
            small = pixels[self._rows[chunk]]
            self._hashes[chunk], self._brightness[chunk] = perceptual_hashes(small), small.mean(axis=(1, 2), dtype=np.float32)
        self._buckets: list[dict[int, int | _Members]] = [{} for _ in BANDS]
        self._set = np.arange(count)
        """The set of each picture, by one of its pictures."""

    def add(self, picture: int) -> None:
        """Let later pictures be compared with this one, which is in a set of its own."""
        if self._rows[picture] != ABSENT:
            for value, buckets in zip(self._values(picture), self._buckets, strict=True):
                found = buckets.setdefault(value, picture)
                if isinstance(found, _Members):
                    found.append(picture)
                elif found != picture:
                    buckets[value] = _Members(found, picture)

    def join(self, pictures: Iterable[int]) -> None:
        """Make one set of the sets that these pictures are in."""
        sets = {int(self._set[picture]) for picture in pictures if self._rows[picture] != ABSENT}
        for other in sets - {min(sets, default=0)}:
            self._set[self._set == other] = min(sets)

    def near(self, picture: int) -> list[int]:
        """Of each set that has a near-duplicate of this picture, one such near-duplicate; sorted."""
        if self._rows[picture] == ABSENT:
            return []
        found: list[int] = []
        others = self._alike(picture)
        size = FIRST
        while len(others):
            block, others, size = others[:size], others[size:], BLOCK
            near = block[self._differences(block, picture) <= PIXELS]
            if len(near):
                sets, first = np.unique(self._set[near], return_index=True)
                found += near[first].tolist()
                others = others[~np.isin(self._set[others], sets)]
        return sorted(found)

    def _differences(self, others: NDArray[np.int64], picture: int) -> NDArray[np.float64]:
        """The mean absolute differences between the pixels of each of some pictures and those of one picture."""
        own, theirs = self._pixels[self._rows[[picture]]], self._pixels[self._rows[others]]
        difference: NDArray[np.float64] = np.abs(theirs.astype(np.int16) - own).mean(axis=(1, 2))
        return difference

    def _alike(self, picture: int) -> NDArray[np.int64]:
        """The added pictures whose hash is close and whose brightness may be, in order."""
        found = [buckets[value] for value, buckets in zip(self._values(picture), self._buckets, strict=True) if value in buckets]
        if not found:
            return np.zeros(0, np.int64)
        close = [self._close(each.pictures if isinstance(each, _Members) else np.array([each]), picture) for each in found]
        pictures = np.unique(np.concatenate(close))
        alike: NDArray[np.int64] = pictures[np.abs(self._brightness[pictures] - self._brightness[picture]) <= PIXELS + ROUNDING]
        return alike

    def _close(self, others: NDArray[np.int64], picture: int) -> NDArray[np.int64]:
        close: NDArray[np.int64] = others[np.bitwise_count(self._hashes[others] ^ self._hashes[picture]) <= DISTANCE]
        return close

    def _values(self, picture: int) -> tuple[int, ...]:
        """The bits of each band of a picture's hash."""
        bits = int(self._hashes[picture])
        return tuple(bits >> (64 - high) & (1 << (high - low)) - 1 for low, high in BANDS)


class _Members:
    """A growing array of pictures."""

    __slots__ = ("_count", "_space")

    def __init__(self, *pictures: int) -> None:
        self._space = np.array(pictures, np.int64)
        self._count = len(pictures)

    @property
    def pictures(self) -> NDArray[np.int64]:
        return self._space[: self._count]

    def append(self, picture: int) -> None:
        if self._count == len(self._space):
            self._space = np.concatenate([self._space, np.zeros(self._count, np.int64)])
        self._space[self._count] = picture
        self._count += 1
