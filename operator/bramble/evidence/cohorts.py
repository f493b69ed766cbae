"""The comparison of two cohorts node by node: what drift asks for, and what single nodes show.

Where a few nodes have most of the traffic, they decide what a sum over nodes says. So each canary is also compared by itself with the
stable cohort, and the mean over canaries of what that shows is evidence as well: nine failing canaries cannot hide behind a busy one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bramble.evidence.drift import Drift, broken, cohort_spread, drift
from bramble.evidence.mixture import SMALL, Floats, log_sum
from bramble.evidence.ratio import RatioTest, State

BY_NODE = 0.1
"""The weight of what single canaries show; the rest is the weight of the sum over them. A weighted mean of e-values is an e-value."""


class Comparison(NamedTuple):
    """What both cohorts have shown up to a moment.

    Attributes:
        worse: evidence that the candidate is worse, in nats, [...].
        fine: evidence that it is fine, in nats, [...].
        spread: by how much an unchanged candidate's ratio would differ from 1 (`drift.cohort_spread`), [...].
        drift: what the stable nodes showed.
    """

    worse: Floats
    fine: Floats
    spread: Floats
    drift: Drift


def compare(
    test: RatioTest, state: State, bad: ArrayLike, expected: ArrayLike, variance: ArrayLike, candidate: NDArray[np.bool_]
) -> Comparison:
    """Judge the state of a test by what its nodes did. Stable nodes that are `broken` are left out.

    Args:
        state: what `test.look` made of all intervals of the attempt, [..., 2, J].
        bad: bad events of each node since the attempt began, [..., nodes].
        expected: exposure of each node in the same time, times its baseline's rate, [..., nodes].
        variance: `Baselines.variance` of each node, [..., nodes].
        candidate: which nodes have the candidate, [nodes]; the others are the stable cohort.
    """
    x, e, v = (np.asarray(each, np.float64) for each in (bad, expected, variance))
    out = np.zeros(e.shape, np.bool_)
    out[..., ~candidate] = broken(x[..., ~candidate], e[..., ~candidate])
    x, e = np.where(out, 0.0, x), np.where(out, 0.0, e)
    seen = drift(x[..., ~candidate], e[..., ~candidate], v[..., ~candidate])
    by_itself = v + seen.allowed[..., np.newaxis]
    spread = cohort_spread(e, by_itself, candidate)
    single = single_nodes(test, x, e, by_itself, candidate)
    return Comparison(worse=together(test.worse(state, spread), single), fine=test.fine(state, spread), spread=spread, drift=seen)


def together(pooled: ArrayLike, single: ArrayLike) -> Floats:
    """The weighted mean of two e-values, in nats: that of the sum over nodes and that of `single_nodes`, [...]."""
    return np.asarray(np.logaddexp(np.log1p(-BY_NODE) + np.asarray(pooled), np.log(BY_NODE) + np.asarray(single)))


def single_nodes(test: RatioTest, bad: Floats, expected: Floats, variance: Floats, candidate: NDArray[np.bool_]) -> Floats:
    """The evidence of single canaries, in nats, [...]: the mean of their e-values, of which the largest counts as 0.

    So no single node can bring it about: a node that breaks by itself is no fault of a version.

    Args:
        bad: bad events of each node, [..., nodes].
        expected: as for `compare`.
        variance: the relative variance of each node's rate, drift included, [..., nodes].
        candidate: as for `compare`.
    """
    mine, theirs = bad[..., candidate], bad[..., ~candidate].sum(axis=-1, keepdims=True)
    exposed, others = expected[..., candidate], expected[..., ~candidate].sum(axis=-1, keepdims=True)
    share = exposed / np.maximum(exposed + others, SMALL)
    logs = test.worse(test.look(test.start(mine.shape), mine, mine + theirs, share), np.sqrt(np.log1p(variance[..., candidate])))
    if logs.shape[-1] <= 1:
        return np.full(logs.shape[:-1], np.log(SMALL))
    without_largest = np.sort(logs, axis=-1)[..., :-1]
    return log_sum(without_largest, np.full(without_largest.shape[-1], -np.log(logs.shape[-1])))
