"""Whether a candidate's share of bad events is above a limit or below a ceiling, whatever the stable version's share is.

The one-sample form of `ratio`: each event is bad with some probability, and the likelihood of the counts is compared with their
likelihood at the given rate, averaged over a grid of rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from bramble.evidence.mixture import EVEN, POINTS, STEPS, Floats, last_axis, log_sum
from bramble.evidence.ratio import State

TINY = 1e-9
"""How near to 0 and to 1 a rate may be that is tested."""


@dataclass(frozen=True)
class RateTest:
    """Compares a candidate with a fixed rate.

    The grid is even in v, as that of `RatioTest`: the odds of a bad event are those of the rate, divided by v above it and times v below.

    Attributes:
        rate: bad events per event, above 0 and below 1.
    """

    rate: float

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ValueError(f"rate is {self.rate:g}; it must be above 0 and below 1")

    @cached_property
    def rates(self) -> Floats:
        """The grid, float64 [2, POINTS]."""
        odds = self.rate / (1 - self.rate) * np.stack((1 / STEPS, STEPS))
        return np.asarray(odds / (1 + odds))

    def start(self, shape: tuple[int, ...] = ()) -> State:
        """The state before any evidence, float64 [*shape, 2, POINTS]."""
        return np.zeros((*shape, 2, POINTS))

    def look(self, state: State, bad: ArrayLike, events: ArrayLike) -> State:
        """The state after one more interval.

        Args:
            bad: bad events of the candidate in this interval, [...].
            events: all of its events in this interval, bad ones included, [...].
        """
        x, n = last_axis(bad)[..., np.newaxis], last_axis(events)[..., np.newaxis]
        happened, spared = np.log(self.rates / self.rate), np.log1p(-self.rates) - np.log1p(-self.rate)
        return np.asarray(state + x * happened + (n - x) * spared)

    def above(self, state: State) -> Floats:
        """Evidence against "the rate is at most `rate`", [...]."""
        return log_sum(state[..., 0, :], EVEN)

    def below(self, state: State) -> Floats:
        """Evidence against "the rate is `rate` or more", [...]."""
        return log_sum(state[..., 1, :], EVEN)


def rate_test(rate: float) -> RateTest:
    """The test of any rate from 0 to 1. Those at the ends are tested as the nearest ones that have a likelihood."""
    return RateTest(min(max(rate, TINY), 1 - TINY))
