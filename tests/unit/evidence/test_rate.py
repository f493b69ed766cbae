from __future__ import annotations

from math import comb, exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble.evidence.rate import RateTest

rates = st.floats(0.001, 0.9)


def expected(test: RateTest, rate: float, events: int, of: str) -> float:
    """The mean of the e-value after so many events, by adding up every possible outcome."""
    return sum(
        comb(events, x) * rate**x * (1 - rate) ** (events - x) * exp(float(getattr(test, of)(test.look(test.start(), x, events))))
        for x in range(events + 1)
    )


@given(rates, st.integers(0, 12), st.floats(0.05, 1))
def test_no_evidence_is_expected_at_the_rate_or_on_its_allowed_side(rate: float, events: int, inside: float) -> None:
    test = RateTest(rate)
    for of in ("above", "below"):
        assert expected(test, rate, events, of) == pytest.approx(1)
    assert expected(test, rate * inside, events, "above") <= 1 + 1e-9
    assert expected(test, 1 - (1 - rate) * inside, events, "below") <= 1 + 1e-9


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_two_looks_equal_one(a: int, b: int, c: int, d: int) -> None:
    test = RateTest(0.01)
    twice = test.look(test.look(test.start(), a, a + b), c, c + d)
    np.testing.assert_allclose(twice, test.look(test.start(), a + c, a + b + c + d), atol=1e-9)


@given(rates, st.integers(0, 2**38), st.integers(0, 2**38))
def test_figures_stay_finite(rate: float, bad: int, good: int) -> None:
    test = RateTest(rate)
    state = test.look(test.start(), bad, bad + good)
    assert np.isfinite(test.above(state))
    assert np.isfinite(test.below(state))


def test_many_good_events_show_that_a_ceiling_is_kept() -> None:
    test = RateTest(0.01)
    assert test.below(test.look(test.start(), 2, 1000)) > np.log(20)
    assert test.above(test.look(test.start(), 40, 1000)) > np.log(100)


@pytest.mark.parametrize("rate", [0.0, 1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate is"):
        RateTest(rate)
