from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble.evidence.baselines import baselines
from bramble.evidence.drift import broken, cohort_spread, drift

RANDOM_NODES = 400


def fleet(sigma: float, drift_sigma: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rates of nodes, and what they counted in two days of 86,400 requests each, before and after they drifted."""
    random = np.random.default_rng(seed)
    rates = 1e-3 * np.exp(sigma * random.standard_normal(RANDOM_NODES) - sigma**2 / 2)
    after = rates * np.exp(drift_sigma * random.standard_normal(RANDOM_NODES))
    return rates, random.poisson(rates * 86_400), random.poisson(after * 86_400)


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.0])
def test_a_baseline_is_nearer_to_the_truth_than_the_mean_and_than_the_nodes_own_rate(sigma: float) -> None:
    rates, before, _ = fleet(sigma, 0)
    found = baselines(before, np.full(RANDOM_NODES, 86_400.0))

    def error(guess: np.ndarray) -> float:
        return float(((guess - rates) ** 2).mean())

    assert error(found.rate) <= error(before / 86_400) * 1.05
    assert error(found.rate) <= error(np.full(RANDOM_NODES, before.mean() / 86_400)) * 1.05


def test_a_node_without_history_is_expected_to_have_the_mean_and_is_less_certain() -> None:
    found = baselines([80, 100, 120, 0], [1e5, 1e5, 1e5, 0.0])
    assert found.rate[3] == pytest.approx(0.001, rel=0.01)
    assert found.variance[3] == found.variance.max()


@pytest.mark.parametrize(("bad", "exposure"), [([0, 0, 0], [0.0, 0.0, 0.0]), ([0, 0, 0], [10.0, 20.0, 0.0])])
def test_without_any_bad_event_every_rate_is_above_zero(bad: list[int], exposure: list[float]) -> None:
    found = baselines(bad, exposure)
    assert (found.rate > 0).all()
    assert np.isfinite(found.rate).all()
    assert np.isfinite(found.variance).all()


@pytest.mark.parametrize("sigma", [0.0, 1.0])
@pytest.mark.parametrize("by", [0.0, 0.2, 0.5])
def test_drift_is_measured_whatever_the_spread_between_nodes(sigma: float, by: float) -> None:
    _, before, after = fleet(sigma, by)
    base = baselines(before, np.full(RANDOM_NODES, 86_400.0))
    found = drift(after, base.rate, base.variance)
    true = float(np.expm1(by**2))
    assert float(found.variance) == pytest.approx(true, abs=0.01 + 0.25 * true)
    assert abs(float(found.variance) - true) < 4 * float(found.error) + 0.1 * true


@given(st.permutations(range(6)))
def test_the_order_of_nodes_does_not_matter(order: list[int]) -> None:
    bad, exposure = np.array([3, 9, 0, 4, 40, 7]), np.array([1e3, 2e3, 0, 1e3, 9e3, 5e2])
    candidate = np.array([True, False, False, True, False, False])
    base, turned = baselines(bad, exposure), baselines(bad[order], exposure[order])
    np.testing.assert_allclose(turned.rate, base.rate[order])
    for one, other in zip(
        drift(bad, base.rate * exposure, base.variance), drift(bad[order], turned.rate * exposure[order], turned.variance), strict=True
    ):
        np.testing.assert_allclose(one, other)
    np.testing.assert_allclose(
        cohort_spread(base.rate * exposure, base.variance, candidate),
        cohort_spread(turned.rate * exposure[order], turned.variance, candidate[order]),
    )


def test_nodes_that_counted_nothing_show_no_drift() -> None:
    found = drift([0, 0, 0], [0.0, 0.0, 0.0], [0.1, 0.1, 0.1])
    assert found.variance == 0
    assert 0 < found.allowed < 0.2


def test_a_single_stable_node_is_assumed_to_drift() -> None:
    assert drift([100], [100.0], [0.01]).allowed == pytest.approx(0.14)
    assert drift([100] * 5, [100.0] * 5, [0.01] * 5).allowed < 0.04


def test_a_plainly_broken_node_is_told_from_one_that_drifts() -> None:
    counts = np.random.default_rng(1).poisson(20, 90)
    assert not broken(counts, np.full(90, 20.0)).any()
    counts[[3, 4]] = 400, 150
    assert np.flatnonzero(broken(counts, np.full(90, 20.0))).tolist() == [3]


def test_few_bad_events_and_whole_fleets_of_broken_nodes_are_no_broken_node() -> None:
    assert not broken([7, *[0] * 40], np.ones(41)).any()
    assert broken([8, *[0] * 40], np.ones(41)).sum() == 1
    assert not broken([500] * 20 + [5] * 20, np.ones(40)).any()
    assert not broken([500], [1.0]).any()
    assert broken([], []).size == 0


def test_nodes_that_had_no_request_do_not_count_among_those_of_which_a_tenth_may_be_broken() -> None:
    """Half of the fleet is switched off. Two of the other twenty are broken, and three are not a tenth any more."""
    off, on = [0] * 20, [5] * 17
    expected = [0.0] * 20 + [5.0] * 20
    assert broken(off + on + [5, 500, 500], expected).sum() == 2
    assert not broken(off + on + [500] * 3, expected).any()


def test_more_canaries_drift_less_than_one() -> None:
    expected, variance = np.ones(100), np.full(100, 0.04)
    one, ten = np.arange(100) < 1, np.arange(100) < 10
    assert cohort_spread(expected, variance, one) == pytest.approx(0.2, rel=0.05)
    assert cohort_spread(expected, variance, ten) == pytest.approx(0.2 / np.sqrt(9), rel=0.05)
