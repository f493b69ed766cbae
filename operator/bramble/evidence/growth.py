"""Whether the memory of canaries grows faster than that of other nodes: a comparison of slopes, not of levels.

Memory is no count of independent events, so likelihoods would be guesses. Which nodes have the candidate was drawn by lot, though. If the
version changes nothing, every set of as many nodes is equally likely to be the canaries, however much nodes differ and drift. So the test
counts how many of the steepest nodes are canaries, and the probability of that is exact (a permutation test; Fisher 1935). It may be done
at a few looks that are fixed beforehand, among which α is divided (`Levels.p_at`).

A version changes something that has nothing to do with its quality: canaries have loaded it lately, and other nodes loaded theirs long
ago. Memory settles after a load, for hours. So early looks fail nobody (`FAIL_HOURS`), and at later ones the growth also has to last
(`lasting`). What a load adds is assumed to become slower at least as fast as it did within the look.

Where there is nobody to compare with, the slope itself is tested (`rising`), which assumes more: samples of one process leave their line
independently of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from math import lgamma
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bramble.evidence.mixture import Floats

LOOK_HOURS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Hours after the warm-up at which memory is compared. Each look takes the samples of its last hours, as many as the look is named by."""

FAIL_HOURS = 8.0
"""A look over fewer hours fails no candidate: it cannot tell memory that settles after a load from memory that leaks."""

FAILING_LOOKS = sum(hours >= FAIL_HOURS for hours in LOOK_HOURS)
"""Among so many looks α is divided."""

SAMPLES = 8
"""Samples of a look, evenly spaced. A node with fewer takes no part: its slope would be less certain than that of the others."""

DECIMALS = 3
"""Of a slope that is kept."""

NEAR = 1e-6
"""Hours by which a time may be off for want of digits."""

Sample = tuple[float, float]
"""Hours of uptime, and what was sampled, such as mebibytes."""

Draw = tuple[int, int]
"""How many canaries were drawn from how many nodes."""


def window(samples: Sequence[Sample], hours: float) -> tuple[Sample, ...]:
    """Eight samples of the last hours, evenly spaced; empty where there are not so many.

    Args:
        samples: in order of time, none of them before the warm-up.
    """
    apart = hours / SAMPLES
    begin = samples[-1][0] - hours if samples else 0.0
    within = [each for each in samples if each[0] > begin + NEAR]
    found = within[:1]
    for each in within:
        if each[0] >= found[-1][0] + apart - NEAR:
            found.append(each)
    return tuple(found) if len(found) == SAMPLES else ()


def slope(hours: ArrayLike, values: ArrayLike) -> Floats:
    """The median of the slopes between any two samples (Theil 1950, Sen 1968), which a third of wild samples cannot move, [...].

    Args:
        hours: uptime of one process at each sample, increasing, [samples], at least two. The number of pairs grows with the square of their
            number.
        values: what was sampled, such as mebibytes, [..., samples].
    """
    t, y = np.asarray(hours, np.float64), np.asarray(values, np.float64)
    first, second = np.triu_indices(len(t), 1)
    return np.asarray(np.median((y[..., second] - y[..., first]) / (t[second] - t[first]), axis=-1))


def steepest(slopes: ArrayLike, candidate: NDArray[np.bool_], allowed: float) -> NDArray[np.int64]:
    """With k canaries, each of them taken for flatter by `allowed`: how many of the k steepest nodes are canaries, [...].

    Where the candidate makes memory grow faster by no more than `allowed`, they are so many by chance with a probability of at most
    `by_chance`. Of equal slopes those of stable nodes count first.

    Args:
        slopes: of each node, in units per hour, [..., nodes].
        candidate: which nodes have the candidate, [nodes].
        allowed: units per hour.
    """
    return _first(np.asarray(slopes, np.float64) - allowed * candidate, candidate)


def flattest(slopes: ArrayLike, candidate: NDArray[np.bool_], allowed: float) -> NDArray[np.int64]:
    """The same for the k flattest nodes. By chance, where the candidate makes memory grow faster by `allowed` or more.

    Args:
        slopes, candidate, allowed: as for `steepest`.
    """
    return _first(allowed * candidate - np.asarray(slopes, np.float64), candidate)


def _first(values: ArrayLike, candidate: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many of the k nodes with the largest values are among the k canaries, [...]."""
    v, canaries = np.asarray(values, np.float64), int(candidate.sum())
    if canaries in (0, len(candidate)):
        return np.zeros(v.shape[:-1], np.int64)
    order = np.lexsort((np.broadcast_to(candidate, v.shape), -v), axis=-1)[..., :canaries]
    return np.asarray(candidate[order].sum(axis=-1))


def by_chance(draws: Sequence[Draw], found: ArrayLike) -> Floats:
    """The probability that draws of so many canaries hold at least `found` of as many marked nodes, all draws together, [...].

    Canaries are drawn from each board, and boards differ in how memory grows: so each board is a draw, and its nodes are compared with one
    another.
    """
    return np.asarray(_tail(tuple(draws))[np.asarray(found)])


def least_by_chance(draws: Sequence[Draw]) -> float:
    """The least that `by_chance` can be, which is where every canary is marked; 1 where there is nobody to compare with."""
    return float(_tail(tuple(draws))[-1])


@lru_cache(maxsize=256)
def _tail(draws: tuple[Draw, ...]) -> Floats:
    """The upper tail of the sum of hypergeometric numbers, [canaries + 1]."""
    shares = np.ones(1)
    for canaries, nodes in draws:
        shares = np.convolve(shares, _draw(canaries, nodes))
    return np.asarray(np.minimum(1.0, np.cumsum(shares[::-1])[::-1]))


def _draw(canaries: int, nodes: int) -> Floats:
    """How probable it is that so many of the canaries are marked, [canaries + 1]."""
    if canaries == nodes:
        return np.ones(1)  # there is nobody to compare with, so none of them is counted
    others = nodes - canaries
    possible = [x for x in range(canaries + 1) if canaries - x <= others]
    logs = [_log_ways(canaries, x) + _log_ways(others, canaries - x) - _log_ways(nodes, canaries) for x in possible]
    shares = np.zeros(canaries + 1)
    shares[possible] = np.exp(logs)
    return shares


def _log_ways(of: int, some: int) -> float:
    """The logarithm of the number of ways to choose `some` of so many."""
    return lgamma(of + 1) - lgamma(some + 1) - lgamma(of - some + 1)


def rising(hours: ArrayLike, values: ArrayLike, rate: float) -> Floats:
    """The probability that a series that grows by `rate` rises as often as this one does, [...] (Mann 1945, Kendall 1938).

    Counted are the pairs of samples between which the series grows by more than `rate` per hour. If samples leave their line independently
    of each other, every order of them is equally likely.

    Args:
        hours: of each sample, increasing, [samples].
        values: what was sampled, [..., samples].
        rate: units per hour.
    """
    t, y = np.asarray(hours, np.float64), np.asarray(values, np.float64)
    first, second = np.triu_indices(len(t), 1)
    steps = (y[..., second] - y[..., first]) - rate * (t[second] - t[first])
    return np.asarray(_orders(len(t))[(steps > 0).sum(axis=-1)])


@cache
def _orders(samples: int) -> Floats:
    """The probability that a random order of so many samples has at least so many rising pairs, [pairs + 1]."""
    ways = np.ones(1)
    for each in range(2, samples + 1):
        ways = np.convolve(ways, np.ones(each) / each)
    return np.asarray(np.minimum(1.0, np.cumsum(ways[::-1])[::-1]))


def most_nodes(probabilities: ArrayLike) -> float:
    """One probability of those of several nodes: small only if it is for more than half of them; 1 without any node.

    The m-th smallest of n probabilities, times n/m, is one again, however the nodes depend on each other (Rüschendorf 1982).
    """
    p = np.sort(np.asarray(probabilities, np.float64))
    if not len(p):
        return 1.0
    middle = len(p) // 2 + 1
    return float(min(1.0, p[middle - 1] * len(p) / middle))


def lasting(earlier: float, later: float, hours: float) -> float:
    """How fast memory will grow when the last look ends, if growth that becomes slower goes on to do so at the same rate.

    Args:
        earlier, later: growth in both halves of a look, in units per hour.
        hours: that the look covers.
    """
    if not 0 < later < earlier:
        return later
    halves = 2 * (LOOK_HOURS[-1] - hours) / hours
    return float(later * (later / earlier) ** halves)


class Node(NamedTuple):
    """One node in a look.

    Attributes:
        candidate: whether it has the candidate.
        board: which nodes it is compared with.
        samples: those of the look, all nodes' as many.
    """

    candidate: bool
    board: str
    samples: tuple[Sample, ...]


class Look(NamedTuple):
    """What one look shows, in plain numbers.

    Attributes:
        draws: how many canaries were compared with how many nodes, by board.
        candidate, stable: the median slope of each cohort; 0 without any node.
        steep, flat: how many canaries are among the steepest and among the flattest (`steepest`, `flattest`), of all boards together.
        over, under: how probable the canaries' samples are if they grow by the limit, and by what is allowed (`rising`, `most_nodes`).
        lasting_more: by how much faster the median canary will grow in the end than the stable nodes of its board (`lasting`).
        lasting: how fast the median canary will.
    """

    draws: tuple[Draw, ...]
    candidate: float
    stable: float
    steep: int
    flat: int
    over: float
    under: float
    lasting_more: float
    lasting: float


def look(nodes: Sequence[Node], covers: float, allowed: float, limit: float | None) -> Look:
    """Compare nodes, each with those of its board.

    Args:
        covers: hours that the look is named by.
        allowed: by how many units per hour canaries may be steeper.
        limit: units per hour above which they are too steep whatever the other nodes are; None for no limit, and `over` is 1.
    """
    series = [tuple(np.array(column) for column in zip(*node.samples, strict=True)) for node in nodes]
    slopes = np.array([slope(hours, values) for hours, values in series])
    candidate = np.array([node.candidate for node in nodes], np.bool_)
    boards = [np.array([node.board == board for node in nodes], np.bool_) for board in sorted({node.board for node in nodes})]
    parts = [(slopes[board], candidate[board]) for board in boards]
    halves = np.array([_halves(hours, values) for hours, values in series]).reshape(-1, 2)
    more = [halves[board & candidate] - np.median(halves[board & ~candidate], axis=0) for board in boards if (board & ~candidate).any()]
    canaries = [each for each, is_canary in zip(series, candidate.tolist(), strict=True) if is_canary]
    return Look(
        draws=tuple((int(mine.sum()), len(mine)) for _, mine in parts),
        candidate=_median(slopes[candidate]),
        stable=_median(slopes[~candidate]),
        steep=sum(int(steepest(found, mine, allowed)) for found, mine in parts),
        flat=sum(int(flattest(found, mine, allowed)) for found, mine in parts),
        over=1.0 if limit is None else most_nodes([rising(hours, values, limit) for hours, values in canaries]),
        under=most_nodes([rising(hours, -values, -allowed) for hours, values in canaries]),
        lasting_more=_lasting(np.concatenate((np.empty((0, 2)), *more)), covers),
        lasting=_lasting(halves[candidate], covers),
    )


def _halves(hours: Floats, values: Floats) -> tuple[float, float]:
    """The slopes of both halves of a look."""
    middle = len(hours) // 2
    return float(slope(hours[:middle], values[:middle])), float(slope(hours[middle:], values[middle:]))


def _lasting(halves: Floats, covers: float) -> float:
    """What lasts of the median growth of some nodes, [nodes, 2]; 0 without any."""
    if not len(halves):
        return 0.0
    earlier, later = np.median(halves, axis=0)
    return round(lasting(float(earlier), float(later), covers), DECIMALS)


def _median(slopes: Floats) -> float:
    return round(float(np.median(slopes)), DECIMALS) if len(slopes) else 0.0
