"""Finds near-duplicates: a 64-bit perceptual hash finds the candidate pairs, and the pixels confirm them.

The hash is pHash (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010): the signs of the 8x8 lowest
frequencies of the discrete cosine transform of a 32x32 grey picture, about their median. It survives scaling and recompression.
Near pairs are found without comparing every pair: hashes that differ in at most `DISTANCE` bits are equal in at least one of
`DISTANCE + 1` bands of bits (Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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
BLOCK = 2048
"""How many rows are compared at a time. This bounds the memory where many pictures agree in a band."""


def perceptual_hashes(small: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Compute the hashes, uint64 [N], of grey pictures, uint8 [N, 32, 32]."""
    edge = small.shape[-1]
    frequency, position = np.arange(LOWEST)[:, None], np.arange(edge)[None, :]
    basis = np.cos(math.pi * frequency * (2 * position + 1) / (2 * edge)).astype(np.float32)  # DCT-II
    spectrum = np.rint(basis @ small.astype(np.float32) @ basis.T).reshape(len(small), LOWEST * LOWEST)
    spectrum[:, 0] = 0  # leaves out the mean brightness; rounding removes the noise of pictures with one colour
    bits = spectrum > np.median(spectrum, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).reshape(len(small))


def near_duplicates(small: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Find the pairs (i < j) of near-duplicates among pictures, uint8 [N, 32, 32]. They are indices in sorted order."""
    if len(small) == 0:
        return []
    hashes = perceptual_hashes(small)
    pairs: set[tuple[int, int]] = set()
    for low, high in BANDS:
        band = (hashes >> np.uint64(64 - high)) & np.uint64((1 << (high - low)) - 1)
        for members in _shared(band):
            pairs.update(_close(hashes, small, members))
    return sorted(pairs)


def _shared(band: NDArray[np.uint64]) -> Iterator[NDArray[np.intp]]:
    """Yield each set of at least two pictures that have the same bits in a band."""
    order = np.argsort(band, kind="stable")
    edges = np.flatnonzero(np.diff(band[order])) + 1
    yield from (members for members in np.split(order, edges) if len(members) > 1)


def _close(hashes: NDArray[np.uint64], small: NDArray[np.uint8], members: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    for start in range(0, len(members), BLOCK):
        rows = members[start : start + BLOCK]
        distance = np.bitwise_count(hashes[rows][:, None] ^ hashes[members][None, :])
        for row, column in np.argwhere(distance <= DISTANCE):
            one, other = int(rows[row]), int(members[column])
            if one < other and _same_pixels(small[one], small[other]):
                yield one, other


def _same_pixels(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return float(np.abs(one.astype(np.int16) - other).mean()) <= PIXELS
