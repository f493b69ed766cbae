"""Whether the memory of canaries grows faster than that of other nodes: a comparison of slopes, not of levels.

Memory is no count of independent events, so likelihoods would be guesses. Which nodes have the candidate was drawn by lot, though. If the
version changes nothing, every set of as many nodes is equally likely to be the canaries, however much nodes differ and drift. So the test
counts how many of the steepest nodes are canaries, and the probability of that is exact (a permutation test; Fisher 1935). It may be done
at a few looks that are fixed beforehand, among which α is divided (`Levels.p_at`).
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bramble.evidence.mixture import Floats


def slope(hours: ArrayLike, values: ArrayLike) -> Floats:
    """The median of the slopes between any two samples (Theil 1950, Sen 1968), which a third of wild samples cannot move, [...].

    Args:
        hours: uptime of one process at each sample, increasing, [samples], at least two. The number of pairs grows with the square of their
            number: 16 to 64 samples do.
        values: what was sampled, such as mebibytes, [..., samples].
    """
    t, y = np.asarray(hours, np.float64), np.asarray(values, np.float64)
    first, second = np.triu_indices(len(t), 1)
    return np.asarray(np.median((y[..., second] - y[..., first]) / (t[second] - t[first]), axis=-1))


def steeper(slopes: ArrayLike, candidate: NDArray[np.bool_], least: float) -> Floats:
    """The probability that so many of the steepest nodes are canaries by chance, [...]; 1 where none of them is.

    With k canaries the k steepest nodes are looked at. Of equal slopes those of stable nodes count as steeper.

    Args:
        slopes: of each node, in units per hour, [..., nodes].
        candidate: which nodes have the candidate, [nodes].
        least: by how many units per hour a canary must be steeper than the median stable node to be counted at all.
    """
    s = np.asarray(slopes, np.float64)
    canaries, nodes = int(candidate.sum()), len(candidate)
    if canaries in (0, nodes):
        return np.ones(s.shape[:-1])
    allowed = np.median(s[..., ~candidate], axis=-1, keepdims=True) + least
    judged = np.where(candidate & (s <= allowed), -np.inf, s)
    order = np.lexsort((np.broadcast_to(candidate, s.shape), -judged), axis=-1)[..., :canaries]
    steep = candidate[order] & (np.take_along_axis(judged, order, axis=-1) > -np.inf)
    ways = [comb(canaries, x) * comb(nodes - canaries, canaries - x) for x in range(canaries + 1)]
    tails = np.array([sum(ways[x:]) / sum(ways) for x in range(canaries + 1)])
    return np.asarray(tails[steep.sum(axis=-1)])
