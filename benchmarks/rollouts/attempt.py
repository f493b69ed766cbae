"""What the operator's ledger keeps of one rollout (`bramble.kinds.rollout.counting`), for many rollouts at once.

The test, the comparison of nodes and the baselines are the operator's own functions. What is written anew here is only which numbers go
into them, as arrays; `ledger` runs the operator's own code on the same counts, and both have to decide the same at the same look.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.rollouts.worlds import Floats
from bramble.evidence.baselines import Baselines
from bramble.evidence.cohorts import Beside, Former, compare_nodes, together
from bramble.evidence.drift import broken, drift, sum_variance
from bramble.evidence.mixture import SMALL
from bramble.evidence.rate import RateTest
from bramble.evidence.ratio import RatioTest
from bramble.kinds.rollout.looks import HALF_LIFE_SECONDS


class Shown(NamedTuple):
    """What rollouts have shown, [rollouts]: evidence of worse and of fine in nats, and `ByNode.spread`."""

    worse: Floats
    fine: Floats
    spread: Floats


class Frozen(NamedTuple):
    """The stable version's history when every node has the candidate, [rollouts].

    Attributes:
        bad, weight: what of it is left: bad events, and events times the expected rates.
        again: what of it was compared in the attempt's earlier steps already, and comes next: bad events and weight, [2, rollouts].
        whole_bad, whole_weight: what there was.
        former: what the stable nodes showed until then.
    """

    bad: Floats
    weight: Floats
    again: Floats
    whole_bad: Floats
    whole_weight: Floats
    former: Former


def _begun_again(frozen: Frozen) -> Frozen:
    """Where the history of before the attempt is used up, that of its earlier steps comes next."""
    used = (frozen.weight <= 0) & (frozen.again[1] > 0)
    bad, weight = np.where(used, frozen.again, (frozen.bad, frozen.weight))
    return frozen._replace(bad=bad, weight=weight, again=np.where(used, 0.0, frozen.again))


class Attempt:
    """Many rollouts whose nodes get the candidate at the same looks.

    Attributes:
        state: of the test, [rollouts, 2, J].
        seen: bad events of both cohorts that were compared, [rollouts].
    """

    def __init__(self, test: RatioTest, baselines: Baselines, before: ArrayLike, allowed: float | None = None) -> None:
        """Begin.

        Args:
            before: bad events and events of each node before, [2, rollouts, nodes].
            allowed: a rate that is allowed whatever the stable cohort's is (`CountedMetric.allowed`).
        """
        self._test, self._baselines = test, baselines
        rollouts, nodes = baselines.rate.shape
        self._history = np.array(before, np.float64)
        self._recent = np.zeros((2, rollouts))
        self._candidate = np.zeros(nodes, np.bool_)
        self._bad, self._expected = np.zeros((rollouts, nodes)), np.zeros((rollouts, nodes))
        self._compared, self._since = np.zeros((2, rollouts)), np.zeros((2, rollouts, nodes))
        self._frozen: Frozen | None = None
        self._had_stable = False
        self._rate_test = RateTest(allowed) if allowed is not None else None
        self._mine = np.zeros((2, rollouts))
        self.state = test.start((rollouts,))
        self.seen: Floats = np.zeros(rollouts)

    def look(self, bad: ArrayLike, events: ArrayLike, candidate: NDArray[np.bool_], seconds: float) -> None:
        """Count an interval.

        Args:
            bad, events: of each node in the interval, [rollouts, nodes].
            candidate: which nodes have the candidate in it, [nodes].
            seconds: how long it is.
        """
        x, n = np.asarray(bad, np.float64), np.asarray(events, np.float64)
        due = n * self._baselines.rate
        left = 0.5 ** (seconds / HALF_LIFE_SECONDS)
        self._history *= left
        self._recent *= left
        stable = ~self._candidate
        out = np.zeros(x.shape, np.bool_)
        out[:, stable] = broken(self._bad[:, stable], self._expected[:, stable])
        alone = bool(candidate.all())
        if alone and self._frozen is None:
            self._frozen = self._freeze()
        if (joined := candidate & stable).any():
            self._bad[:, joined], self._expected[:, joined] = 0, 0
            self._since[..., joined] = self._compared[..., np.newaxis]
        self._candidate = candidate
        mine_bad, mine = x[:, candidate].sum(axis=-1), due[:, candidate].sum(axis=-1)
        kept = ~out[:, ~candidate]
        their_bad, theirs = (x[:, ~candidate] * kept).sum(axis=-1), (due[:, ~candidate] * kept).sum(axis=-1)
        self._compared += (their_bad, theirs)
        if alone and self._frozen is not None:
            frozen = _begun_again(self._frozen)
            theirs = np.minimum(mine, frozen.weight)
            their_bad = frozen.bad * theirs / np.maximum(frozen.weight, SMALL)
            self._frozen = frozen._replace(bad=frozen.bad - their_bad, weight=frozen.weight - theirs)
        self.state = self._test.look(self.state, mine_bad, mine_bad + their_bad, mine / np.maximum(mine + theirs, SMALL))
        self.seen += mine_bad + their_bad
        self._mine += (mine_bad, n[:, candidate].sum(axis=-1))
        self._bad += x
        self._expected += due
        self._history[..., ~candidate] += np.stack((x, n))[..., ~candidate]
        self._recent += np.stack((x, due))[..., ~candidate].sum(axis=-1)
        self._had_stable |= not alone

    def _freeze(self) -> Frozen:
        """Of the history until now."""
        bad, weight = self._history[0].sum(axis=-1), (self._history[1] * self._baselines.rate).sum(axis=-1)
        stable = ~self._candidate
        x, e, v = (each[:, stable] for each in (self._bad, self._expected, self._baselines.variance))
        counted = ~broken(x, e)
        allowed = drift(x * counted, e * counted, v).allowed
        former = Former(allowed, sum_variance(e * counted, v + allowed[..., np.newaxis]))
        again = np.minimum(np.stack((bad, weight)), self._recent)
        return Frozen(bad - again[0], weight - again[1], again, bad, weight, former)

    def shown(self, some: NDArray[np.int64]) -> Shown:
        """What these rollouts show now, [some]."""
        state, frozen = self.state[some], self._frozen
        x, e, v = self._bad[some], self._expected[some], self._baselines.variance[some]
        beside, candidate, former = (self._compared[..., np.newaxis] - self._since)[:, some], self._candidate, None
        if frozen is not None:
            beside, former = np.zeros_like(beside), Former(*(np.asarray(each)[some] for each in frozen.former))
            if not self._had_stable:  # the whole history is the stable node
                whole = np.stack((np.round(frozen.whole_bad[some]), frozen.whole_weight[some]))[..., np.newaxis]
                x, e, v = (np.concatenate(each, axis=-1) for each in ((x, whole[0]), (e, whole[1]), (v, np.zeros_like(whole[0]))))
                candidate, beside = np.append(candidate, False), np.broadcast_to(whole, (2, *x.shape))
        found = compare_nodes(self._test, x, e, v, candidate, Beside(*beside), former)
        worse = together(self._test.worse(state, found.spread), found.single)
        fine = self._test.fine(state, found.spread)
        if self._rate_test is not None:
            rate = self._rate_test.look(self._rate_test.start(worse.shape), *self._mine[:, some])
            worse, fine = np.minimum(worse, self._rate_test.above(rate)), np.maximum(fine, self._rate_test.below(rate))
        return Shown(worse, fine, found.spread)
