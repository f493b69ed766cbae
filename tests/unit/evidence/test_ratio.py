from __future__ import annotations

from itertools import product
from math import comb, exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble.evidence.mixture import POINTS
from bramble.evidence.ratio import RatioTest

shares = st.floats(0.01, 0.99)
margins = st.sampled_from([1.0, 1.2, 1.5, 3.0])


def expected(test: RatioTest, ratio: float, looks: list[tuple[int, float]], of: str, spread: float = 0.0) -> float:
    """The mean of the e-value after these looks, (bad events in total, share) each, by adding up every possible outcome."""
    mean = 0.0
    for outcome in product(*(range(total + 1) for total, _ in looks)):
        state, probability = test.start(), 1.0
        for x, (total, share) in zip(outcome, looks, strict=True):
            q = ratio * share / (1 + share * (ratio - 1))
            probability *= comb(total, x) * q**x * (1 - q) ** (total - x)
            state = test.look(state, x, total, share)
        mean += probability * exp(float(getattr(test, of)(state, spread)))
    return mean


looks = st.lists(st.tuples(st.integers(0, 5), shares), min_size=1, max_size=3)


@given(margins, looks)
def test_no_evidence_is_expected_at_the_margin(margin: float, seen: list[tuple[int, float]]) -> None:
    for of in ("worse", "fine"):
        assert expected(RatioTest(margin), margin, seen, of) == pytest.approx(1)


@given(margins, looks, st.floats(0.05, 1), st.floats(0, 0.5))
def test_no_evidence_is_expected_on_the_allowed_side_of_the_margin(
    margin: float, seen: list[tuple[int, float]], inside: float, spread: float
) -> None:
    test = RatioTest(margin)
    for of, ratio in (("worse", margin * inside), ("fine", margin / inside)):
        assert expected(test, ratio, seen, of, spread) <= 1 + 1e-9


@given(st.floats(0.1, 0.8), st.integers(1, 8), shares)
def test_no_evidence_is_expected_of_an_unchanged_version_whose_nodes_drift(spread: float, total: int, share: float) -> None:
    test = RatioTest(1.0)
    weights = np.exp(-0.5 * (np.log(test.ratios) / spread) ** 2) / np.tile((np.arange(POINTS) + 0.5) / POINTS, (2, 1))
    weights /= weights.sum()
    mean = 0.0
    for x in range(total + 1):
        q = test.ratios * share / (1 + share * (test.ratios - 1))
        probability = float((weights * comb(total, x) * q**x * (1 - q) ** (total - x)).sum())
        mean += probability * exp(float(test.worse(test.look(test.start(), x, total, share), spread)))
    assert mean <= 1 + 1e-9


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), shares)
def test_two_looks_with_the_same_share_equal_one(a: int, b: int, c: int, d: int, share: float) -> None:
    test = RatioTest(1.5)
    twice = test.look(test.look(test.start(), a, a + b, share), c, c + d, share)
    np.testing.assert_allclose(twice, test.look(test.start(), a + c, a + b + c + d, share), atol=1e-9)


@pytest.mark.parametrize(("candidate", "total", "share"), [(0, 0, 0.3), (4, 9, 0.0), (9, 9, 1.0)])
def test_an_interval_without_a_comparison_changes_nothing(candidate: int, total: int, share: float) -> None:
    test = RatioTest(1.5)
    before = test.look(test.start(), 3, 7, 0.2)
    np.testing.assert_array_equal(test.look(before, candidate, total, share), before)


@given(st.integers(0, 2**38), st.integers(0, 2**38), st.floats(0, 1), st.floats(0, 3))
def test_figures_stay_finite(candidate: int, others: int, share: float, spread: float) -> None:
    test = RatioTest(1.5)
    state = test.look(test.start(), candidate, candidate + others, share)
    assert np.isfinite(state).all()
    assert np.isfinite(test.worse(state, spread))
    assert np.isfinite(test.fine(state, spread))


def test_it_agrees_with_the_formula_of_the_mixture() -> None:
    """∫ LR(margin / v) dv over 0..1, in 200,000 steps, for the binomial likelihood of 40 bad events of 200 with a share of 10 %."""
    margin, share, x, n = 1.5, 0.1, 40, 200
    ratio = margin / ((np.arange(200_000) + 0.5) / 200_000)
    q, q0 = ratio * share / (1 + share * (ratio - 1)), margin * share / (1 + share * (margin - 1))
    exact = np.log(np.mean((q / q0) ** x * ((1 - q) / (1 - q0)) ** (n - x)))
    test = RatioTest(margin)
    assert float(test.worse(test.look(test.start(), x, n, share))) == pytest.approx(float(exact), abs=0.01)


def test_a_rollout_axis_gives_the_same_as_one_at_a_time() -> None:
    test = RatioTest(1.5)
    x, n, s, spread = np.array([1, 5, 0]), np.array([3, 20, 7]), np.array([0.1, 0.2, 0.0]), np.array([0.0, 0.1, 0.2])
    together = test.look(test.start((3,)), x, n, s)
    for k in range(3):
        alone = test.look(test.start(), x[k], n[k], s[k])
        np.testing.assert_array_equal(together[k], alone)
        assert test.worse(together, spread)[k] == test.worse(alone, spread[k])
        assert test.fine(together, spread)[k] == test.fine(alone, spread[k])


def test_a_tenfold_rate_is_found_with_its_fifteenth_error() -> None:
    test = RatioTest(1.5)
    assert test.worse(test.look(test.start(), 15, 29, 0.1)) > log(2 / 0.01)


def test_drift_limits_what_can_be_shown() -> None:
    test = RatioTest(1.5)
    assert test.most_fine(0.0) == np.inf
    sure = test.look(test.start(), 100_000, 1_000_000, 0.1)
    for spread in (0.1, 0.3):
        assert float(test.fine(sure, spread)) == pytest.approx(float(test.most_fine(spread)), abs=0.1)


@pytest.mark.parametrize("margin", [0.5, float("nan"), float("inf")])
def test_a_margin_below_one_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin is"):
        RatioTest(margin)
