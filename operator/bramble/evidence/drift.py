"""How far nodes leave their own history by themselves: the A/A test that runs beside every rollout.

Nothing changes on the stable nodes, so whatever moves them away from their baselines is drift. It is measured on them all the time, and
says how far a cohort of canaries would move without any fault of the candidate. `RatioTest` takes that spread and then needs more
evidence.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bramble.evidence.mixture import SMALL, Floats

ASSUMED = 0.04
"""The relative variance that is assumed of nodes that nobody has watched: they typically change by 20 %."""

ASSUMED_ERROR = 0.1
"""The standard error of that assumption: nodes that change by 60 % are rare."""

ITERATIONS = 40
"""Bisections of the search for the variance; the last interval is 2^-40 of the first."""

WIDEST = 16.0
"""The largest relative variance of a node's rate that is told apart."""

TIMES = 10.0
"""How many times the expected bad events a stable node has to have to count as broken."""

FEWEST_BROKEN = 8
"""And how many it has to have at least."""

MOST_BROKEN = 0.1
"""At most this share of the stable nodes is taken for broken: where more of them are, that is what the fleet is like."""


class Drift(NamedTuple):
    """What the stable nodes show.

    Attributes:
        variance: the relative variance of a node's rate beyond chance and beyond the uncertainty of its baseline, [...]. 0.04 stands for
            nodes that typically changed by 20 %.
        error: the standard error of that, [...].
        allowed: the relative variance that a test has to allow for, [...]: the mean of what was measured and of what
            is assumed, weighted by their precisions, and the standard error of that mean added.
    """

    variance: Floats
    error: Floats
    allowed: Floats


def drift(bad: ArrayLike, expected: ArrayLike, uncertainty: ArrayLike) -> Drift:
    """Measure the drift of the stable nodes (the estimator of Paule and Mandel, 1982, whose terms all weigh the same).

    Args:
        bad: bad events of each stable node since the attempt began, [..., nodes].
        expected: exposures times baseline rates, on any scale, [..., nodes]; 0 leaves a node out.
        uncertainty: `Baselines.variance`, [..., nodes].
    """
    x, e, v = (np.asarray(each, np.float64) for each in (bad, expected, uncertainty))
    counted = e > 0
    free = np.maximum(counted.sum(axis=-1) - 1, 0)
    scale = np.where(counted, x, 0.0).sum(axis=-1) / np.maximum(np.where(counted, e, 0.0).sum(axis=-1), SMALL)
    m = np.maximum(np.where(counted, e, 0.0) * scale[..., np.newaxis], SMALL)
    squares = np.where(counted, (x - m) ** 2, 0.0)

    def surplus(variance: Floats) -> Floats:
        """By how much squared standardised deviations exceed what this variance explains."""
        terms = squares / (m + m**2 * (v + variance[..., np.newaxis]))
        return np.asarray(terms.sum(axis=-1) - free)

    low, high = np.zeros(x.shape[:-1]), np.full(x.shape[:-1], WIDEST)
    for _ in range(ITERATIONS):
        middle = (low + high) / 2
        more = surplus(middle) > 0
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    variance = np.where(surplus(np.zeros_like(low)) > 0, low, 0.0)
    weights = np.where(counted, m / (1 + m * (v + np.maximum(variance, ASSUMED)[..., np.newaxis])), 0.0)
    error = np.sqrt(2.0 * np.maximum(free, 1)) / (weights.sum(axis=-1) + 1)
    measured, assumed = np.where(free > 0, error**-2, 0.0), ASSUMED_ERROR**-2
    allowed = (measured * variance + assumed * ASSUMED) / (measured + assumed) + (measured + assumed) ** -0.5
    return Drift(variance=variance, error=error, allowed=allowed)


def broken(bad: ArrayLike, expected: ArrayLike) -> NDArray[np.bool_]:
    """Which stable nodes are plainly broken, [..., nodes]: they have many times the bad events that the others' rate leads to expect.

    One such node would otherwise make the whole stable cohort look bad, and hide a bad candidate. What a node is left out for has to have
    happened before the looks that it is left out of, and it must not be left out of a candidate's cohort: the candidate may have broken it.

    Args:
        bad: bad events of each stable node since the attempt began, [..., nodes].
        expected: exposures times baseline rates, on any scale, [..., nodes]. Nodes with 0 are not broken, and do not count among the nodes.
    """
    x, e = np.asarray(bad, np.float64), np.asarray(expected, np.float64)
    if not x.shape[-1]:
        return np.zeros(x.shape, np.bool_)
    counted = e > 0
    ratio = np.where(counted, x / np.maximum(e, SMALL), np.inf)
    place = np.floor((1 - MOST_BROKEN) * np.maximum(counted.sum(axis=-1, keepdims=True) - 1, 0)).astype(np.int64)
    ordinary = counted & (ratio <= np.take_along_axis(np.sort(ratio, axis=-1), place, axis=-1))
    ordinary_bad, ordinary_expected = (np.where(ordinary, each, 0.0).sum(axis=-1, keepdims=True) for each in (x, e))
    scale = ordinary_bad / np.maximum(ordinary_expected, SMALL)
    return np.asarray(counted & (x >= FEWEST_BROKEN) & (x > TIMES * scale * e))


def sum_variance(expected: ArrayLike, variance: ArrayLike) -> Floats:
    """The relative variance of the sum of bad events over these nodes beyond chance, [...]; 0 without any.

    Args:
        expected: exposures times baseline rates, [..., nodes].
        variance: the relative variance of each node's rate, [..., nodes].
    """
    e, v = np.asarray(expected, np.float64), np.asarray(variance, np.float64)
    return np.asarray((e**2 * v).sum(axis=-1) / np.maximum(e.sum(axis=-1), SMALL) ** 2)


def cohort_spread(expected: ArrayLike, variance: ArrayLike, candidate: NDArray[np.bool_], before: ArrayLike = 0.0) -> Floats:
    """By how much an unchanged candidate's ratio differs from 1: the standard deviation of its logarithm, [...].

    Args:
        expected: exposures times baseline rates, [..., nodes].
        variance: the relative variance of each node's rate: drift and the uncertainty of its baseline together, [..., nodes].
        candidate: which nodes have the candidate, [nodes]; the others are the stable cohort.
        before: the relative variance of a stable cohort that was compared before and has left these nodes (`sum_variance`), [...].
    """
    e, v = np.asarray(expected, np.float64), np.asarray(variance, np.float64)
    mine, theirs = (sum_variance(e[..., members], v[..., members]) for members in (candidate, ~candidate))
    return np.asarray(np.sqrt(np.log1p(mine) + np.log1p(theirs) + np.log1p(before)))
