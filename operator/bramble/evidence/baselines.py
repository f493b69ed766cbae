"""What to expect of each node: its own rate of bad events in the time before, drawn towards the fleet's mean.

Nodes differ: one camera sees harder pictures than another. Without their own history, ten canaries that happen to be the difficult ones
look like a bad version. A node's rate is taken as gamma-distributed around the fleet's mean; how narrowly, the fleet's own history says
(empirical Bayes, Robbins 1956). A node without history is expected to have the mean, and its uncertainty widens the test
(`drift.cohort_spread`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bramble.evidence.mixture import SMALL, Floats

NARROWEST = 1e4
"""The largest shape of the gamma distribution: nodes whose rates differ by 1 %. More likeness than that cannot be measured."""

WIDEST = 0.25
"""The smallest shape: rates whose standard deviation is twice their mean."""


class Baselines(NamedTuple):
    """What to expect of the nodes. Freeze it when an attempt begins.

    Attributes:
        rate: expected bad events per exposure, above 0, float64 [..., nodes].
        variance: how uncertain that is: the relative variance of the node's true rate, [..., nodes].
    """

    rate: Floats
    variance: Floats


def baselines(bad: ArrayLike, exposure: ArrayLike) -> Baselines:
    """The expected rate of each node.

    Args:
        bad: bad events of the nodes while they served the stable version, [..., nodes].
        exposure: what the events are counted against, such as requests or hours, [..., nodes]; 0 for a node without history.
    """
    x, e = np.asarray(bad, np.float64), np.asarray(exposure, np.float64)
    all_bad, all_exposure = x.sum(axis=-1, keepdims=True), e.sum(axis=-1, keepdims=True)
    mean = (all_bad + 1) / (all_exposure + 1)
    shape = _shape(x, e * all_bad / np.maximum(all_exposure, SMALL))
    return Baselines(rate=(x + shape) / (e + shape / mean), variance=1 / (shape + x))


def _shape(x: Floats, expected: Floats) -> Floats:
    """The shape of the gamma distribution by its moments: the squared mean over the variance of the rates, [..., 1].

    One is added to both, so that a fleet without bad events gets a shape of 1: nodes may then differ by their whole rate.
    """
    squares = (expected**2).sum(axis=-1, keepdims=True)
    excess = ((x - expected) ** 2 - expected).sum(axis=-1, keepdims=True)
    return np.asarray(np.clip((squares + 1) / (np.maximum(excess, 0.0) + 1), WIDEST, NARROWEST))
