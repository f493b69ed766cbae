"""What the nodes of two cohorts show one by one: what drift asks for, and how single canaries compare.

Where a few nodes have most of the traffic, they decide what a sum over nodes says. So each canary is also compared by itself with the
stable cohort, and the mean over canaries of what that shows is evidence as well: nine failing canaries cannot hide behind a busy one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bramble.evidence.drift import Drift, broken, cohort_spread, drift
from bramble.evidence.mixture import SMALL, Floats, log_sum
from bramble.evidence.ratio import RatioTest

BY_NODE = 0.1
"""The weight of what single canaries show; the rest is the weight of the sum over them. A weighted mean of e-values is an e-value."""


class Beside(NamedTuple):
    """What the stable cohort counted at the same time as each node: from the moment at which the node's own sums begin.

    A node that gets the candidate in a later step is compared with that time only. Otherwise a burst on all nodes, or a busy night, would
    weigh more for a node that was watched for an hour than for stable nodes that were watched for a day.

    Attributes:
        bad: bad events of the stable nodes that are compared, [..., nodes].
        expected: their exposures times their baselines' rates, [..., nodes]; 0 where there is nothing to compare with.
    """

    bad: Floats
    expected: Floats


class Former(NamedTuple):
    """What is known of a stable cohort of which no node is left.

    Attributes:
        allowed: the drift that its nodes asked to allow for (`Drift.allowed`), [...].
        variance: the relative variance of their sum, drift included (`drift.sum_variance`), [...]. What was compared with them stays in the
            test's state, and so does how far they had drifted.
    """

    allowed: float | Floats
    variance: float | Floats


class ByNode(NamedTuple):
    """What the nodes show beside the sum over them.

    Attributes:
        spread: by how much an unchanged candidate's ratio would differ from 1 (`drift.cohort_spread`), [...].
        single: evidence in nats of single canaries that the candidate is worse (`single_nodes`), [...].
        drift: what the stable nodes showed.
    """

    spread: Floats
    single: Floats
    drift: Drift


def compare_nodes(
    test: RatioTest,
    bad: ArrayLike,
    expected: ArrayLike,
    uncertainty: ArrayLike,
    candidate: NDArray[np.bool_],
    beside: Beside,
    former: Former | None = None,
) -> ByNode:
    """Compare nodes with their own baselines, and canaries with the stable cohort. Stable nodes that are `broken` are left out.

    Args:
        bad: bad events of each node since its sums began, [..., nodes].
        expected: exposure of each node in the same time, times its baseline's rate, [..., nodes]; 0 leaves a node out.
        uncertainty: `Baselines.variance` of each node, [..., nodes].
        candidate: which nodes have the candidate, [nodes]; the others are the stable cohort.
        beside: what each node's own figures are compared with.
        former: the stable cohort of before; without it these stable nodes say which drift to allow for.
    """
    x, e, v = (np.asarray(each, np.float64) for each in (bad, expected, uncertainty))
    out = np.zeros(e.shape, np.bool_)
    out[..., ~candidate] = broken(x[..., ~candidate], e[..., ~candidate])
    x, e = np.where(out, 0.0, x), np.where(out, 0.0, e)
    seen = drift(x[..., ~candidate], e[..., ~candidate], v[..., ~candidate])
    variance = v + np.asarray(seen.allowed if former is None else former.allowed)[..., np.newaxis]
    theirs = Beside(*(np.asarray(each, np.float64)[..., candidate] for each in beside))
    single = single_nodes(test, x[..., candidate], e[..., candidate], variance[..., candidate], theirs)
    return ByNode(spread=cohort_spread(e, variance, candidate, 0.0 if former is None else former.variance), single=single, drift=seen)


def together(pooled: ArrayLike, single: ArrayLike) -> Floats:
    """The weighted mean of two e-values, in nats: that of the sum over nodes and that of `single_nodes`, [...]."""
    return np.asarray(np.logaddexp(np.log1p(-BY_NODE) + np.asarray(pooled), np.log(BY_NODE) + np.asarray(single)))


def single_nodes(test: RatioTest, bad: Floats, expected: Floats, variance: Floats, beside: Beside) -> Floats:
    """The evidence of single canaries, in nats, [...]: the mean of their e-values, of which the largest counts as 0.

    So no single node can bring it about: a node that breaks by itself is no fault of a version.

    Args:
        bad: bad events of each canary, [..., canaries].
        expected: as for `compare_nodes`, [..., canaries]. Those with 0 are left out.
        variance: the relative variance of each canary's rate, drift included, [..., canaries].
        beside: what each is compared with.
    """
    share = expected / np.maximum(expected + beside.expected, SMALL)
    logs = test.worse(test.look(test.start(bad.shape), bad, bad + beside.bad, share), np.sqrt(np.log1p(variance)))
    nothing = np.log(SMALL)
    there = np.asarray(expected > 0)
    count = there.sum(axis=-1)
    if logs.shape[-1] <= 1:
        return np.full(logs.shape[:-1], nothing)
    without_largest = np.sort(np.where(there, logs, nothing), axis=-1)[..., :-1]
    mean = log_sum(without_largest, np.zeros(without_largest.shape[-1])) - np.log(np.maximum(count, 1))
    return np.asarray(np.where(count > 1, mean, nothing))
