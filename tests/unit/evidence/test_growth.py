from __future__ import annotations

from itertools import combinations, pairwise, permutations
from math import comb

import numpy as np
import pytest

from bramble.evidence.growth import (
    LOOK_HOURS,
    SAMPLES,
    Node,
    by_chance,
    flattest,
    lasting,
    look,
    most_nodes,
    rising,
    slope,
    steepest,
    window,
)

row = pytest.param
FORTY = np.arange(40)


def chance(slopes: np.ndarray, candidate: np.ndarray, allowed: float) -> np.ndarray:
    """How probable it is that as many of the steepest nodes are canaries."""
    return by_chance([(int(candidate.sum()), len(candidate))], steepest(slopes, candidate, allowed))


def test_a_third_of_wild_samples_does_not_move_the_slope() -> None:
    hours = np.linspace(0, 8, 20)
    values = 100 + 3 * hours
    values[::4] += 5000
    assert slope(hours, values) == pytest.approx(3, abs=0.5)


def test_every_set_of_canaries_is_equally_likely() -> None:
    """The share of sets with this probability or less is at most the probability itself: counted over all sets of 3 of 9 nodes."""
    slopes = np.random.default_rng(1).standard_normal(9)
    found, flat = [], []
    for chosen in combinations(range(9), 3):
        candidate = np.isin(np.arange(9), chosen)
        # The candidate is worse by exactly what is allowed.
        found.append(float(chance(slopes + 2.0 * candidate, candidate, 2.0)))
        flat.append(float(by_chance([(3, 9)], flattest(slopes + 2.0 * candidate, candidate, 2.0))))
    for level in (0.02, 0.1, 0.3):
        assert np.mean([p <= level for p in found]) <= level
        assert np.mean([p <= level for p in flat]) <= level
    assert min(found) == pytest.approx(1 / 84)
    assert min(flat) == pytest.approx(1 / 84)


@pytest.mark.parametrize(("canaries", "nodes"), [(3, 9), (7, 9), (40, 100), (900, 1800)])
def test_the_probability_is_that_of_a_draw_by_lot(canaries: int, nodes: int) -> None:
    for found in (0, 1, canaries // 2, canaries):
        ways = sum(comb(canaries, x) * comb(nodes - canaries, canaries - x) for x in range(found, canaries + 1))
        assert by_chance([(canaries, nodes)], found) == pytest.approx(ways / comb(nodes, canaries), rel=1e-6, abs=1e-300)


def test_equal_slopes_show_nothing() -> None:
    assert chance(np.zeros(40), FORTY < 4, 0.0) == pytest.approx(1)
    assert by_chance([(4, 40)], flattest(np.zeros(40), FORTY < 4, 0.0)) == pytest.approx(1)


def test_growth_that_is_allowed_shows_nothing() -> None:
    slopes = np.concatenate((np.full(4, 0.5), np.zeros(36)))
    assert chance(slopes, FORTY < 4, 1.0) == pytest.approx(1)
    assert chance(slopes, FORTY < 4, 0.1) < 1e-4


def test_two_leaking_canaries_of_forty_are_found_among_unlike_nodes() -> None:
    slopes = np.concatenate((np.full((3, 2), 9.0), np.random.default_rng(2).standard_normal((3, 38))), axis=1)
    np.testing.assert_allclose(chance(slopes, FORTY < 2, 1.0), 1 / 780)


def test_canaries_like_the_others_are_shown_to_grow_by_less_than_is_allowed() -> None:
    slopes = np.random.default_rng(3).standard_normal(40)
    assert by_chance([(4, 40)], flattest(slopes, FORTY < 4, 9.0)) < 1e-4
    assert by_chance([(4, 40)], flattest(slopes + 9.0 * (FORTY < 4), FORTY < 4, 9.0)) > 0.05


@pytest.mark.parametrize("canaries", [0, 5])
def test_a_single_cohort_shows_nothing(canaries: int) -> None:
    candidate = np.arange(5) < canaries
    assert chance(np.arange(5.0), candidate, 0.0) == 1
    assert by_chance([(canaries, 5)], flattest(np.arange(5.0), candidate, 9.0)) == 1


def test_every_draw_from_two_boards_is_equally_likely() -> None:
    """Of five nodes of one board two are canaries, and of four of the other one is. All of the first grow faster."""
    slopes = np.random.default_rng(4).standard_normal(9) + 9.0 * (np.arange(9) < 5)
    boards, draws = [np.arange(5), np.arange(5, 9)], [(2, 5), (1, 4)]
    found = []
    for first in combinations(range(5), 2):
        for second in range(5, 9):
            candidate = np.isin(np.arange(9), (*first, second))
            steep = sum(int(steepest(slopes[board], candidate[board], 0.0)) for board in boards)
            found.append(float(by_chance(draws, steep)))
    for level in (0.03, 0.2, 0.5):
        assert np.mean([p <= level for p in found]) <= level
    assert min(found) == pytest.approx(1 / 40)


def test_a_board_with_one_cohort_only_takes_no_part() -> None:
    assert by_chance([(2, 5), (3, 3), (0, 4)], 2) == pytest.approx(by_chance([(2, 5)], 2))


def test_of_all_orders_few_rise_more_often_than_the_probability_says() -> None:
    found = [float(rising(range(5), values, 0.0)) for values in permutations(range(5))]
    for level in (1 / 120, 5 / 120, 0.2):
        assert np.mean([p <= level + 1e-12 for p in found]) <= level + 1e-12
    assert min(found) == pytest.approx(1 / 120)


@pytest.mark.parametrize(
    ("rate", "least", "most"),
    [
        row(2.0, 0, 1e-4, id="it grows by more than two an hour"),
        row(3.0, 0.1, 1, id="not by more than three"),
        row(9.0, 0.99, 1, id="nor by more than nine"),
    ],
)
def test_a_series_is_compared_with_a_rate(rate: float, least: float, most: float) -> None:
    hours = np.arange(8.0)
    assert least <= rising(hours, 100 + 3 * hours, rate) <= most
    assert rising(hours, 100 + 3 * hours, rate).shape == ()


def test_a_step_is_no_growth() -> None:
    """Another model was loaded in the middle."""
    assert rising(np.arange(8.0), [0.0] * 4 + [90.0] * 4, 20.0) > 0.1


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        row([], 1.0, id="no node"),
        row([0.01], 0.01, id="one"),
        row([0.01, 0.4], 0.4, id="one of two is not more than half"),
        row([0.01, 0.02, 1.0], 0.03, id="two of three"),
        row([0.0, 1.0, 1.0], 1.0, id="one that lies brings nothing about"),
    ],
)
def test_more_than_half_of_the_nodes_have_to_show_it(probabilities: list[float], expected: float) -> None:
    assert most_nodes(probabilities) == pytest.approx(expected)


@pytest.mark.parametrize("hours", LOOK_HOURS)
def test_a_window_has_even_samples_of_the_last_hours(hours: float) -> None:
    apart = 1 / SAMPLES
    for last in range(128, 200):
        samples = [(tick * apart, float(tick)) for tick in range(last + 1)]
        found = window(samples, hours)
        assert len(found) == SAMPLES
        assert found[0][0] > samples[-1][0] - hours
        np.testing.assert_allclose([b[0] - a[0] for a, b in pairwise(found)], hours / SAMPLES)


def test_a_window_that_is_not_covered_is_none() -> None:
    samples = [(tick / 8, 1.0) for tick in range(9)]
    assert window([], 1.0) == ()
    assert len(window(samples[:8], 1.0)) == SAMPLES
    assert window(samples[:7], 1.0) == ()
    assert window(samples, 2.0) == ()
    assert window([*samples[:3], *samples[4:8]], 1.0) == (), "one is missing"


@pytest.mark.parametrize(
    ("earlier", "later", "hours", "expected"),
    [
        row(4.0, 2.0, 16.0, 2.0, id="the last look ends with the later half"),
        row(4.0, 2.0, 8.0, 0.5, id="two halves of eight hours are left, and each halves it"),
        row(2.0, 4.0, 8.0, 4.0, id="growth that becomes faster lasts"),
        row(-1.0, 4.0, 8.0, 4.0, id="it has only begun"),
        row(4.0, -1.0, 8.0, -1.0, id="it is over"),
    ],
)
def test_what_lasts_of_growth(earlier: float, later: float, hours: float, expected: float) -> None:
    assert lasting(earlier, later, hours) == pytest.approx(expected)


def loaded(hours: float, *, settles: float = 0.0, within: float = 1.0, leak: float = 0.0) -> list[Node]:
    """A fleet of 40: eight canaries have loaded a version 15 minutes before the look begins, the others three days before."""
    random = np.random.default_rng(3)
    at = np.arange(1, SAMPLES + 1) * hours / SAMPLES
    nodes = []
    for place in range(40):
        candidate = place < 8
        since_load = at + (0.25 if candidate else 72.0)
        values = 100 - settles * np.exp(-since_load / within) + leak * candidate * at + 0.5 * random.standard_normal(SAMPLES)
        nodes.append(Node(candidate, "rpi5", tuple(zip(at.tolist(), values.tolist(), strict=True))))
    return nodes


@pytest.mark.parametrize(("settles", "within"), [(10.0, 2.0), (20.0, 4.0)])
@pytest.mark.parametrize("hours", [8.0, 16.0])
def test_memory_that_settles_after_a_load_is_steep_and_does_not_last(settles: float, within: float, hours: float) -> None:
    """Both versions settle alike; only the canaries have been loaded lately."""
    found = look(loaded(hours, settles=settles, within=within), hours, 0.5, 20.0)
    assert found.lasting_more < 0.5
    assert found.lasting < 0.5
    early = look(loaded(1.0, settles=settles, within=within), 1.0, 0.5, 20.0)
    assert by_chance(early.draws, early.steep) < 1e-4, "by its slope alone the unchanged version would be undone"


@pytest.mark.parametrize("hours", [8.0, 16.0])
def test_memory_that_leaks_lasts_whether_it_settles_as_well_or_not(hours: float) -> None:
    for settles in (0.0, 10.0):
        found = look(loaded(hours, settles=settles, leak=5.0), hours, 1.0, None)
        assert found.lasting_more > 1.0
        assert found.steep == 8


def test_growth_that_lasts_is_compared_within_each_board() -> None:
    """Every node of one board grows by 9 MiB an hour, whatever it serves."""
    at = np.arange(1, SAMPLES + 1).tolist()
    nodes = [
        Node(place < 2, board, tuple((float(hour), 100.0 + grows * hour) for hour in at))
        for board, grows, size in (("rpi4", 0.0, 9), ("rpi5", 9.0, 3))
        for place in range(size)
    ]
    found = look(nodes, 8.0, 1.0, None)
    assert (found.lasting_more, found.lasting) == (0.0, 4.5)
    assert look([node for node in nodes if node.candidate], 8.0, 1.0, None).lasting_more == 0.0, "nobody to compare with"
