"""The tests that watch a promoted version, by themselves."""

from __future__ import annotations

from math import exp, factorial, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble.evidence.mixture import EVEN, Floats, log_sum
from bramble.evidence.rise import GROUPS, above_own, above_rate, first_hour, later_hours, margin_of, own_spread, shown

row = pytest.param
EVERY = [True] * GROUPS


def value(sums: Floats, hours: int) -> float:
    """The e-value of one group."""
    return float(np.exp(log_sum(sums[0], EVEN)) + 1 / (hours + 1))


@settings(max_examples=20)
@given(st.sampled_from([1.0, 1.5, 3.0]), st.floats(0.05, 4), st.floats(0.1, 1), st.integers(1, 3))
def test_no_evidence_is_expected_of_a_rate_within_the_margin(margin: float, expected: float, inside: float, later: int) -> None:
    """By adding up every outcome of two hours."""
    mean, rate, outcomes = 0.0, expected * margin * inside, range(50)
    likely = [exp(-rate) * rate**x / factorial(x) for x in outcomes]
    ratios = [above_own(margin, x, expected) for x in outcomes]
    for first, of_first in zip(ratios, likely, strict=True):
        sums = later_hours(first_hour() + first, 1, 1 + later)
        mean += of_first * sum(probability * value(sums + second, 1 + later) for probability, second in zip(likely, ratios, strict=True))
    assert mean <= 1 + 1e-6


def test_the_sum_begins_at_one_and_stays_there_without_events() -> None:
    sums = first_hour()
    assert value(sums, 1) == pytest.approx(1)
    for hours in (2, 5, 9000):
        assert value(later_hours(sums, 1, hours), hours) == pytest.approx(1)


def test_hours_that_begin_together_weigh_as_much_as_one_by_one() -> None:
    together, one_by_one = later_hours(first_hour(), 1, 5), first_hour()
    for hour in range(2, 6):
        one_by_one = later_hours(one_by_one, hour - 1, hour)
    np.testing.assert_allclose(together, one_by_one)


def after(hours: int, ratio: float, per_hour: float = 20.0) -> float:
    """Evidence after so many hours like before and one with another rate."""
    sums = first_hour()
    for hour in range(1, hours + 1):
        sums = later_hours(sums, hour - 1, hour) + above_own(1.5, np.full(GROUPS, per_hour), np.full(GROUPS, per_hour))
    sums = later_hours(sums, hours, hours + 1) + above_own(1.5, np.full(GROUPS, ratio * per_hour), np.full(GROUPS, per_hour))
    return shown(sums, hours + 1, EVERY)


def test_a_change_is_found_as_soon_after_a_good_year_as_on_the_first_day() -> None:
    needed = log(2 / 0.01)
    assert after(24, 1.0) < 0 < needed < after(24, 4.0)
    assert after(24 * 365, 4.0) > needed
    assert after(24, 4.0) - after(24 * 365, 4.0) < 2 * log(365 * 2)


@pytest.mark.parametrize(
    ("risen", "groups", "found"),
    [row(8, 8, True, id="every group"), row(5, 8, True, id="five of eight"), row(4, 8, False, id="half of them"),
     row(1, 1, True, id="a fleet of one node"), row(1, 2, False, id="one node of two"), row(2, 3, True, id="two of three")],
)  # fmt: skip
def test_more_than_half_of_the_groups_have_to_rise(risen: int, groups: int, found: bool) -> None:
    bad = np.where(np.arange(GROUPS) < risen, 300.0, 20.0)
    sums = first_hour() + above_own(1.5, bad, np.full(GROUPS, 20.0))
    assert (shown(sums, 1, [place < groups for place in range(GROUPS)]) > log(200)) == found


def test_nothing_is_shown_where_no_node_counts() -> None:
    assert shown(first_hour(), 1, [False] * GROUPS) == 0


def test_a_rate_above_a_limit() -> None:
    assert shown(first_hour() + above_rate(0.2, np.full(GROUPS, 60), np.full(GROUPS, 100)), 1, EVERY) > log(200)
    assert shown(first_hour() + above_rate(0.2, np.full(GROUPS, 20), np.full(GROUPS, 100)), 1, EVERY) < 0


def test_the_margin_is_at_least_what_the_own_rate_may_be_wrong_by() -> None:
    many, few = own_spread(10_000, np.ones(100), np.zeros(100)), own_spread(3, np.ones(100), np.zeros(100))
    assert margin_of(1.5, many, 0.005) == 1.5
    assert margin_of(1.5, few, 0.005) == pytest.approx(exp(2.5758 * few), rel=1e-4)
    assert own_spread(0, np.zeros(3), np.ones(3)) > 0.8
    assert own_spread(10_000, np.ones(4), np.full(4, 0.04)) > own_spread(10_000, np.ones(100), np.full(100, 0.04))
