from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bramble.evidence.growth import slope, steeper


def test_a_third_of_wild_samples_does_not_move_the_slope() -> None:
    hours = np.linspace(0, 8, 20)
    values = 100 + 3 * hours
    values[::4] += 5000
    assert slope(hours, values) == pytest.approx(3, abs=0.5)


def test_every_set_of_canaries_is_equally_likely() -> None:
    """The share of sets with this probability or less is at most the probability itself: counted over all sets of 3 of 9 nodes."""
    slopes = np.random.default_rng(1).standard_normal(9)
    found = []
    for chosen in combinations(range(9), 3):
        candidate = np.isin(np.arange(9), chosen)
        found.append(float(steeper(slopes, candidate, -np.inf)))
    for level in (0.02, 0.1, 0.3):
        assert np.mean([p <= level for p in found]) <= level
    assert min(found) == pytest.approx(1 / 84)


def test_equal_slopes_show_nothing() -> None:
    assert steeper(np.zeros(40), np.arange(40) < 4, -1.0) == 1


def test_growth_below_the_least_is_left_alone() -> None:
    slopes = np.concatenate((np.full(4, 0.5), np.zeros(36)))
    assert steeper(slopes, np.arange(40) < 4, 1.0) == 1
    assert steeper(slopes, np.arange(40) < 4, 0.1) < 1e-4


def test_two_leaking_canaries_of_forty_are_found_among_unlike_nodes() -> None:
    slopes = np.concatenate((np.full((3, 2), 9.0), np.random.default_rng(2).standard_normal((3, 38))), axis=1)
    np.testing.assert_allclose(steeper(slopes, np.arange(40) < 2, 1.0), 1 / 780)


@pytest.mark.parametrize("canaries", [0, 5])
def test_a_single_cohort_shows_nothing(canaries: int) -> None:
    assert steeper(np.arange(5.0), np.arange(5) < canaries, 0.0) == 1
