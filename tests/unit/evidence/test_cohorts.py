from __future__ import annotations

from math import log
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble.evidence.baselines import baselines
from bramble.evidence.cohorts import Beside, ByNode, Former, compare_nodes, single_nodes, together
from bramble.evidence.mixture import Floats
from bramble.evidence.ratio import RatioTest, State

FAIL = log(2 / 0.01)
TEST = RatioTest(1.5)


def same_time(bad: np.ndarray, expected: Floats, candidate: np.ndarray) -> Beside:
    """What each node is compared with where all of them were counted for the same time."""
    sums = (np.asarray(each)[..., ~candidate].sum(axis=-1, keepdims=True) for each in (bad, expected))
    return Beside(*(np.broadcast_to(each, np.shape(bad)).astype(float) for each in sums))


class Seen(NamedTuple):
    """What two cohorts show."""

    state: State
    nodes: ByNode

    @property
    def worse(self) -> float:
        return float(together(TEST.worse(self.state, self.nodes.spread), self.nodes.single))

    @property
    def fine(self) -> float:
        return float(TEST.fine(self.state, self.nodes.spread))


def seen(bad: list[int], requests: list[int], candidate: int, history: float = 100_000.0, looks: int = 1) -> Seen:
    """Compare the first nodes with the others; each had a rate of 0.1 % before."""
    x, e = np.array(bad), np.array(requests, np.float64)
    base = baselines(np.full(len(bad), history / 1000), np.full(len(bad), history))
    mask = np.arange(len(bad)) < candidate
    expected = e * base.rate
    share = expected[mask].sum() / expected.sum()
    state = TEST.start()
    for _ in range(looks):
        state = TEST.look(state, x[mask].sum() / looks, x.sum() / looks, share)
    return Seen(state, compare_nodes(TEST, x, expected, base.variance, mask, same_time(x, expected, mask)))


def test_nine_failing_canaries_do_not_hide_behind_a_busy_one() -> None:
    busy = seen([600, *[10] * 9, *[10] * 90], [600_000, *[10] * 9, *[10_000] * 90], candidate=10)
    assert busy.worse > FAIL
    assert TEST.worse(TEST.look(TEST.start(), 690, 1590, 0.4)) < FAIL, "the sum over nodes does not show it"


def test_one_broken_canary_shows_nothing_as_a_single_node() -> None:
    counts = np.array([1000.0] + [10.0] * 99)
    expected, mask = np.full(100, 10.0), np.arange(100) < 10

    def shown() -> float:
        beside = Beside(*(each[mask] for each in same_time(counts, expected, mask)))
        return float(single_nodes(TEST, counts[mask], expected[mask], np.full(10, 0.01), beside))

    assert shown() < 0
    counts[1] = 1000
    assert shown() > FAIL


def test_canaries_that_had_no_event_yet_are_not_among_those_that_single_evidence_is_the_mean_of() -> None:
    twenty = seen([40] * 20 + [20] * 20, [10_000] * 40, candidate=20).nodes.single
    half = seen([40] * 20 + [0] * 20 + [20] * 20, [10_000] * 20 + [0] * 20 + [10_000] * 20, candidate=40).nodes.single
    assert half == pytest.approx(twenty, abs=1e-6)


def test_canaries_of_another_time_are_compared_with_what_stable_nodes_counted_in_that_time() -> None:
    """In the night every node has three times as many errors, and the canaries were counted in the night only."""
    bad, expected, variance, mask = np.full(40, 150.0), np.full(40, 50.0), np.full(40, 0.01), np.arange(40) < 20
    bad[~mask], expected[~mask] = 50 * 23 + 150, 50 * 24
    day, night = same_time(bad, expected, mask), Beside(np.full(40, 20 * 150.0), np.full(40, 20 * 50.0))
    assert compare_nodes(TEST, bad, expected, variance, mask, day).single > FAIL
    assert compare_nodes(TEST, bad, expected, variance, mask, night).single < 0


def test_a_drift_that_was_measured_before_is_allowed_for() -> None:
    bad, expected, mask = np.full(40, 10.0), np.full(40, 10.0), np.arange(40) < 4
    beside = same_time(bad, expected, mask)
    calm, restless = (compare_nodes(TEST, bad, expected, np.zeros(40), mask, beside, former).spread for former in (None, Former(1.0, 0.0)))
    assert restless > 2 * calm


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
    with_it, without = (float(seen(each, requests, candidate=10).nodes.spread) for each in (hidden, doubled))
    assert with_it == pytest.approx(without, rel=0.05)


def test_nodes_that_drift_ask_for_more_evidence() -> None:
    random = np.random.default_rng(5)
    requests, calm = [40_000] * 100, [60] * 10 + [40] * 90
    restless = [60] * 10 + [int(each) for each in 40 * np.exp(0.6 * random.standard_normal(90))]
    assert seen(restless, requests, candidate=10).nodes.spread > 3 * seen(calm, requests, candidate=10).nodes.spread


def test_without_any_history_and_any_bad_event_figures_are_finite() -> None:
    for count in (0, 20):
        found = seen([count] * 2 + [0] * 3, [100] * 5, candidate=2, history=0.0)
        assert np.isfinite([found.worse, found.fine, float(found.nodes.spread)]).all()


@given(st.permutations(range(8)))
def test_the_order_of_nodes_does_not_matter(order: list[int]) -> None:
    bad, requests, mask = np.array([9, 1, 4, 0, 22, 3, 3, 5]), np.array([9e3, 1e3, 4e3, 2e3, 2e4, 3e3, 3e3, 0.0]), np.arange(8) < 3
    base = baselines(bad, requests)
    expected = base.rate * requests
    beside = same_time(bad, expected, mask)
    straight = compare_nodes(TEST, bad, expected, base.variance, mask, beside)
    turned = compare_nodes(TEST, bad[order], expected[order], base.variance[order], mask[order], beside)
    np.testing.assert_allclose([turned.single, turned.spread], [straight.single, straight.spread])


def test_many_rollouts_give_the_same_as_one_at_a_time() -> None:
    random = np.random.default_rng(2)
    bad, requests, mask = random.poisson(5, (4, 12)), random.integers(1000, 9000, (4, 12)).astype(float), np.arange(12) < 4
    base = baselines(bad, requests)
    expected = base.rate * requests
    beside = same_time(bad, expected, mask)
    together = compare_nodes(TEST, bad, expected, base.variance, mask, beside)
    for k in range(4):
        alone = compare_nodes(TEST, bad[k], expected[k], base.variance[k], mask, Beside(*(each[k] for each in beside)))
        assert together.single[k] == pytest.approx(float(alone.single))
        assert together.spread[k] == pytest.approx(float(alone.spread))
