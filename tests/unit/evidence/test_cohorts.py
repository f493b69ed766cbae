from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble.evidence.baselines import baselines
from bramble.evidence.cohorts import Comparison, compare, single_nodes
from bramble.evidence.ratio import RatioTest

FAIL = log(2 / 0.01)
TEST = RatioTest(1.5)


def seen(bad: list[int], requests: list[int], candidate: int, history: float = 100_000.0, looks: int = 1) -> Comparison:
    """Compare the first nodes with the others; each had a rate of 0.1 % before."""
    x, e = np.array(bad), np.array(requests, np.float64)
    base = baselines(np.full(len(bad), history / 1000), np.full(len(bad), history))
    mask = np.arange(len(bad)) < candidate
    expected = e * base.rate
    share = expected[mask].sum() / expected.sum()
    state = TEST.start()
    for _ in range(looks):
        state = TEST.look(state, x[mask].sum() / looks, x.sum() / looks, share)
    return compare(TEST, state, x, expected, base.variance, mask)


def test_nine_failing_canaries_do_not_hide_behind_a_busy_one() -> None:
    busy = seen([600, *[10] * 9, *[10] * 90], [600_000, *[10] * 9, *[10_000] * 90], candidate=10)
    assert busy.worse > FAIL
    assert TEST.worse(TEST.look(TEST.start(), 690, 1590, 0.4)) < FAIL, "the sum over nodes does not show it"


def test_one_broken_canary_shows_nothing_as_a_single_node() -> None:
    counts = np.array([1000.0] + [10.0] * 99)
    expected, mask = np.full(100, 10.0), np.arange(100) < 10
    assert single_nodes(TEST, counts, expected, np.full(100, 0.01), mask) < 0
    counts[1] = 1000
    assert single_nodes(TEST, counts, expected, np.full(100, 0.01), mask) > FAIL


def test_one_bad_event_undoes_nothing() -> None:
    assert seen([1, *[0] * 9], [600_000] * 10, candidate=1).worse < FAIL
    assert seen([1, *[0] * 9], [1, *[600_000] * 9], candidate=1).worse < FAIL


def test_an_unchanged_version_becomes_fine_and_a_doubled_rate_becomes_worse() -> None:
    requests = [40_000] * 100
    same, doubled = seen([40] * 100, requests, candidate=10), seen([80] * 10 + [40] * 90, requests, candidate=10)
    assert same.fine > log(20)
    assert same.worse < 0
    assert doubled.worse > FAIL
    assert doubled.fine < 0


def test_a_stable_node_that_breaks_neither_widens_the_test_nor_hides_canaries() -> None:
    requests, doubled = [40_000] * 100, [80] * 10 + [40] * 90
    hidden = [80] * 10 + [40] * 89 + [20_000]
    assert seen(hidden, requests, candidate=10).spread == pytest.approx(float(seen(doubled, requests, candidate=10).spread), rel=0.05)


def test_nodes_that_drift_ask_for_more_evidence() -> None:
    random = np.random.default_rng(5)
    requests, calm = [40_000] * 100, [60] * 10 + [40] * 90
    restless = [60] * 10 + [int(each) for each in 40 * np.exp(0.6 * random.standard_normal(90))]
    assert seen(restless, requests, candidate=10).spread > 3 * seen(calm, requests, candidate=10).spread


def test_without_any_history_and_any_bad_event_figures_are_finite() -> None:
    for count in (0, 20):
        found = seen([count] * 2 + [0] * 3, [100] * 5, candidate=2, history=0.0)
        assert np.isfinite([found.worse, found.fine, found.spread]).all()


@given(st.permutations(range(8)))
def test_the_order_of_nodes_does_not_matter(order: list[int]) -> None:
    bad, requests, mask = np.array([9, 1, 4, 0, 22, 3, 3, 5]), np.array([9e3, 1e3, 4e3, 2e3, 2e4, 3e3, 3e3, 0.0]), np.arange(8) < 3
    base = baselines(bad, requests)
    expected = base.rate * requests
    state = TEST.look(TEST.start(), 14, 47, 0.3)
    straight = compare(TEST, state, bad, expected, base.variance, mask)
    turned = compare(TEST, state, bad[order], expected[order], base.variance[order], mask[order])
    np.testing.assert_allclose([turned.worse, turned.fine, turned.spread], [straight.worse, straight.fine, straight.spread])


def test_many_rollouts_give_the_same_as_one_at_a_time() -> None:
    random = np.random.default_rng(2)
    bad, requests, mask = random.poisson(5, (4, 12)), random.integers(1000, 9000, (4, 12)).astype(float), np.arange(12) < 4
    base = baselines(bad, requests)
    expected = base.rate * requests
    state = TEST.look(TEST.start((4,)), bad[:, mask].sum(1), bad.sum(1), expected[:, mask].sum(1) / expected.sum(1))
    together = compare(TEST, state, bad, expected, base.variance, mask)
    for k in range(4):
        alone = compare(TEST, state[k], bad[k], expected[k], base.variance[k], mask)
        assert together.worse[k] == pytest.approx(float(alone.worse))
        assert together.fine[k] == pytest.approx(float(alone.fine))
