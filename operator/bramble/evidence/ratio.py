"""Whether a candidate's rate of bad events is at most `margin` times the stable cohort's rate.

The bad events of one interval are divided between the cohorts. Given how many there were in both together, how many of them belong to the
candidate depends on the ratio of the rates only: a moment at which every node has more of them changes nothing. The likelihood of that
number is compared with its likelihood at the margin, for a grid of ratios, and averaged over the grid.

Source: Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022; here one-sided, with a margin, and for
exposures that change from interval to interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from bramble.evidence.mixture import EVEN, POINTS, STEPS, Floats, last_axis, log_sum

State = Floats
"""Logarithms of likelihood ratios against the margin, float64 [..., 2, POINTS]: of the ratios above it, then of those below it."""


CERTAIN = 1e6
"""Nats that stand for any amount of evidence."""


@dataclass(frozen=True)
class RatioTest:
    """Compares a candidate with a stable cohort.

    The ratios above the margin are margin / v, those below it margin × v, with v in even steps between 0 and 1.

    Attributes:
        margin: the ratio of rates that is still fine, at least 1. With 1, `fine` shows that the candidate is better.
    """

    margin: float

    def __post_init__(self) -> None:
        if not 1 <= self.margin < np.inf:
            raise ValueError(f"margin is {self.margin:g}; it must be a number of at least 1")

    @cached_property
    def ratios(self) -> Floats:
        """The grid, float64 [2, POINTS]."""
        return np.stack((self.margin / STEPS, self.margin * STEPS))

    def start(self, shape: tuple[int, ...] = ()) -> State:
        """The state before any evidence, float64 [*shape, 2, POINTS]."""
        return np.zeros((*shape, 2, POINTS))

    def look(self, state: State, candidate: ArrayLike, total: ArrayLike, share: ArrayLike) -> State:
        """The state after one more interval.

        Args:
            candidate: bad events of the candidate in this interval, [...].
            total: bad events of both cohorts in this interval, [...].
            share: which part of all bad events would be the candidate's if the ratio were 1, between 0 and 1, [...]: the sum of its nodes'
                exposures, each times the node's expected rate, divided by the same sum over both cohorts. With 0 or 1 there is nothing to
                compare, and the state stays as it is.
        """
        x, n, s = last_axis(candidate)[..., np.newaxis], last_axis(total)[..., np.newaxis], last_axis(share)[..., np.newaxis]
        compared = (s > 0) & (s < 1)
        s = np.where(compared, s, 0.5)
        shift = np.log1p(s * (self.margin - 1)) - np.log1p(s * (self.ratios - 1))
        gained = x * np.log(self.ratios / self.margin) + n * shift
        return np.asarray(state + np.where(compared, gained, 0.0))

    def worse(self, state: State, spread: ArrayLike = 0.0) -> Floats:
        """Evidence that the candidate is worse, [...].

        It is evidence against each of two hypotheses: the ratio is at most the margin, and the version is unchanged while nodes drift.

        Args:
            spread: by how much the ratio of an unchanged version differs from 1 because single nodes change by themselves: the standard
                deviation of its logarithm (`drift.cohort_spread`), [...].
        """
        shown = log_sum(state[..., 0, :], EVEN)
        return np.asarray(shown - np.maximum(0.0, self._drifted(state, spread, 1.0)))

    def fine(self, state: State, spread: ArrayLike = 0.0) -> Floats:
        """Evidence that the candidate is fine, [...].

        It is evidence against each of two hypotheses: the ratio is the margin or more, and the version is as bad as the margin while its
        nodes drifted. Half of the weight lies around the ratio 1: most promotions have to show that a version is unchanged.

        Args:
            spread: as for `worse`.
        """
        below = state[..., 1, :]
        shown = log_sum(below, EVEN)
        if self.margin > 1:
            around_one = self._log_normal(spread, 1.0)[..., POINTS:]
            around_one = around_one - log_sum(around_one, np.zeros(1))[..., np.newaxis]
            shown = np.logaddexp(shown, log_sum(below, around_one)) - np.log(2)
        return np.asarray(shown - np.maximum(0.0, self._drifted(state, spread, self.margin)))

    def most_fine(self, spread: ArrayLike = 0.0, ratio: float = 1.0) -> Floats:
        """The evidence that `fine` gives for a version with this ratio after any amount of events, [...]; infinite without a spread."""
        sd = np.asarray(spread, np.float64)
        certain = np.full((*sd.shape, 2, POINTS), -CERTAIN)
        certain[..., 1, np.abs(self.ratios[1] - ratio).argmin()] = CERTAIN
        return np.where(sd > 0, self.fine(certain, sd), np.inf)

    def _drifted(self, state: State, spread: ArrayLike, centre: float) -> Floats:
        """The log likelihood ratio of "the ratio is log-normal around the centre" against the margin; minus infinity without a spread."""
        flat = state.reshape(*state.shape[:-2], 2 * POINTS)
        return np.where(np.asarray(spread) > 0, log_sum(flat, self._log_normal(spread, centre)), -np.inf)

    def _log_normal(self, spread: ArrayLike, centre: float) -> Floats:
        """Logarithms of the weights of a log-normal distribution of the ratio over the whole grid, float64 [..., 2 × POINTS].

        The grid is even in v, so a step of the logarithm of the ratio is 1 / v wide. A spread narrower than a step counts as a step.
        """
        distances = np.log(self.ratios / centre).reshape(-1)
        log_weights = -0.5 * (distances / np.maximum(last_axis(spread), 1 / POINTS)) ** 2 - np.log(np.tile(STEPS, 2))
        return np.asarray(log_weights - log_sum(log_weights, np.zeros(1))[..., np.newaxis])


SAME = RatioTest(1.0)
"""Compares a candidate that has to be better: its `fine` is evidence against "the ratio is 1 or more"."""
