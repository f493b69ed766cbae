"""Whether a rate has risen since a version was promoted, for as long as somebody watches.

A test over the whole time finds a late change late: what happened in good months outweighs what happens today. So another test begins
with each hour, and their e-values are added, with weights 1/(k(k+1)) for the k-th hour, which sum to 1. What is left for later hours counts
as it is, so the sum begins at 1 and its expectation never exceeds 1 while the rate has not risen. By Ville's inequality it then ever
reaches 1/α with a probability of at most α, however long somebody watches. All tests multiply by the same likelihood ratios, so the sum
takes no more memory than one of them (`later_hours`).

The nodes are in groups, each with a sum of its own, of which the larger half counts as 0 (`shown`): some nodes that break by themselves do
not show that a version has gone bad. A weighted mean of e-values, of which some count as 0, has an expectation of at most 1.

Source: Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", NEJSDS 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log1p, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from bramble.evidence.drift import sum_variance
from bramble.evidence.mixture import EVEN, POINTS, STEPS, Floats, last_axis, log_sum
from bramble.evidence.nodes import DECIMALS
from bramble.evidence.rate import rate_test

GROUPS = 8
"""Groups of nodes. The rates of half of them have to rise."""

HOUR_SECONDS = 3600
"""How often another test begins."""


def first_hour() -> Floats:
    """The sum before any evidence, as logarithms by group and grid point, float64 [GROUPS, POINTS]."""
    return np.full((GROUPS, POINTS), np.log(1 / 2))


def later_hours(sums: Floats, begun: int, hours: int) -> Floats:
    """The sum once another test has begun for each of the hours after `begun`, of `hours` in all."""
    if hours <= begun:
        return sums
    return np.asarray(np.logaddexp(sums, np.log(1 / (begun + 1) - 1 / (hours + 1))))


def kept(sums: Floats) -> tuple[float, ...]:
    """The sums in plain numbers, as a ledger keeps them: one group after the other."""
    return tuple(np.round(sums, DECIMALS).reshape(-1).tolist())


def sums_of(logs: Sequence[float]) -> Floats:
    """The sums that were kept."""
    return np.array(logs).reshape(GROUPS, POINTS)


def shown(sums: Floats, hours: int, active: Sequence[bool]) -> float:
    """The evidence that the rates of half of the groups have risen, in nats.

    Args:
        sums: [GROUPS, POINTS].
        hours: in how many hours a test has begun.
        active: which groups have any node that counts, [GROUPS].
    """
    groups = np.sort(np.logaddexp(log_sum(sums, EVEN), -np.log(hours + 1))[np.asarray(active, np.bool_)])
    lower = groups[: (len(groups) + 1) // 2]
    return float(log_sum(lower, np.full(len(lower), -np.log(GROUPS)))) if len(lower) else 0.0


def above_own(margin: float, bad: ArrayLike, expected: ArrayLike) -> Floats:
    """Log likelihood ratios of rates above `margin` times the expected one, [..., POINTS].

    Bad events are taken as Poisson distributed. For events of which each is bad with some probability that gives less evidence, not more.

    Args:
        bad: bad events of an interval, [...].
        expected: how many were expected at the version's own rate, [...].
    """
    return np.asarray(-last_axis(bad) * np.log(STEPS) - last_axis(expected) * margin * (1 / STEPS - 1))


def above_rate(rate: float, bad: ArrayLike, events: ArrayLike) -> Floats:
    """Log likelihood ratios of rates above a fixed one (`rate_test`), [..., POINTS]."""
    test = rate_test(rate)
    return np.asarray(test.look(test.start(np.shape(bad)), bad, events)[..., 0, :])


def margin_of(max_ratio: float, spread: float, error: float) -> float:
    """The margin that is tested: at least as much as the version's own rate may be wrong by.

    Args:
        max_ratio: the margin that was asked for.
        spread: how uncertain the own rate is (`own_spread`).
        error: the probability with which it may be wrong by more.
    """
    return max(max_ratio, exp(min(NormalDist().inv_cdf(1 - error) * spread, 700.0)))


def own_spread(bad: float, expected: ArrayLike, variance: ArrayLike) -> float:
    """How uncertain it is what to expect of the fleet, as the standard deviation of its logarithm.

    The mean over the fleet is uncertain by the number of bad events that it is known from, and each node's rate by itself.

    Args:
        bad: bad events that the version's own rate is known from.
        expected: bad events that are expected of each node, on any scale, [nodes].
        variance: the relative variance of each node's rate, drift included, [nodes].
    """
    return sqrt(log1p(1 / (bad + 1)) + log1p(float(sum_variance(expected, variance))))
