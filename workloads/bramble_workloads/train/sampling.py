"""Chooses the samples of each rank and their order. A run that resumes at any step uses the same order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SMALLEST = 2
"""The least number of samples that a rank gets of a batch."""


def seed_of(*parts: int) -> int:
    """Mix several numbers, such as (seed, epoch, step, rank), to one seed of 63 bits."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little") >> 1


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of `count` samples for one epoch."""
    return np.random.default_rng(seed_of(seed, epoch)).permutation(count)


def batches(order: NDArray[np.int64], size: int, rank: int, world_size: int, start: int = 0) -> Iterator[NDArray[np.int64]]:
    """The indices of each batch of one rank. Every rank gets the same number of batches, of the same sizes.

    The last batch is smaller. If its size is no multiple of the number of ranks, it is filled up from the beginning of the order. It is
    left out if it would give a rank a single sample, which batch normalisation cannot use, unless it is the only batch.

    Args:
        order: the samples of the epoch, in their order.
        size: the number of samples that each rank gets of a batch.
        rank: this rank.
        world_size: the number of ranks.
        start: the number of samples that all ranks together have used already. With it a run resumes within an epoch, also with another
            number of ranks.
    """
    whole = size * world_size
    for offset in range(start, len(order), whole):
        chunk = order[offset : offset + whole]
        if len(chunk) < min(SMALLEST, size) * world_size and offset > 0:
            return
        if missing := -len(chunk) % world_size:
            chunk = np.concatenate([chunk, np.resize(order, missing)])
        yield chunk[rank::world_size]


def smallest_batch(count: int, size: int, world_size: int) -> int:
    """The number of samples that a rank gets of the smallest batch of an epoch of `count` samples."""
    whole = size * world_size
    last = (count - 1) // whole * whole
    return min((len(batch) for batch in batches(np.arange(count), size, 0, world_size, last)), default=size)
