"""Which pictures each rank sees in which order. Pure, and the same after a resume at any step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SMALLEST = 2
"""Samples of a rank in a batch."""


def seed_of(*parts: int) -> int:
    """One well-mixed 63-bit seed from several numbers, such as (seed, epoch, step, rank)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of `count` samples for one epoch."""
    return np.random.default_rng(seed_of(seed, epoch)).permutation(count)


def batches(order: NDArray[np.int64], size: int, rank: int, world_size: int, start: int = 0) -> Iterator[NDArray[np.int64]]:
    """Indices of each batch of one rank; every rank gets as many, of the same sizes.

    The last one is smaller, and filled up from the beginning of the order where it does not divide by the ranks. It is left out where it
    would give a rank a single sample, of which batch normalisation can make nothing, unless there is no other.

    Args:
        order: all samples of the epoch.
        size: samples of a rank in a batch.
        rank: this one.
        world_size: ranks in all.
        start: how many samples all ranks together have seen already, so that a run resumes within an epoch, even with other ranks.
    """
    whole = size * world_size
    for offset in range(start, len(order), whole):
        chunk = order[offset : offset + whole]
        if len(chunk) < min(SMALLEST, size) * world_size and offset > 0:
            return
        missing = -len(chunk) % world_size
        yield np.concatenate([chunk, np.resize(order, missing)])[rank::world_size]
