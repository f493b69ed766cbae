"""Sums of likelihood ratios over a grid of alternatives, in logarithms."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

POINTS = 64
"""Points of each grid: J in the shapes of states."""

SMALL = 1e-150
"""Stands for 0 where something is divided by it; its square is not 0 yet."""

STEPS: Floats = (np.arange(POINTS) + 0.5) / POINTS
"""The middles of POINTS equal parts of the interval from 0 to 1, float64 [POINTS]."""

EVEN: Floats = np.full(POINTS, -np.log(POINTS))
"""Logarithms of equal weights that sum to 1, float64 [POINTS]."""


def log_sum(logs: Floats, log_weights: Floats) -> Floats:
    """The logarithm of the weighted sum over the last axis, [...]. With weights that sum to 1 it is that of a mean.

    Args:
        logs: finite numbers, float64 [..., J].
        log_weights: float64 [J] or [..., J]; minus infinity leaves a point out, but not every one.
    """
    terms = logs + log_weights
    peak = terms.max(axis=-1, keepdims=True)
    terms -= peak
    return np.asarray(peak[..., 0] + np.log(np.exp(terms, out=terms).sum(axis=-1)))


def last_axis(values: ArrayLike) -> Floats:
    """The values as float64 with one more axis of length 1 at the end, so that they broadcast against a grid."""
    return np.asarray(values, np.float64)[..., np.newaxis]
