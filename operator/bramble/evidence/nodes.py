"""The tests and the nodes of one Rollout, in plain numbers as its ledger keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bramble.evidence.baselines import baselines
from bramble.evidence.cohorts import Beside, Former, compare_nodes
from bramble.evidence.drift import FEWEST_BROKEN, broken, drift, sum_variance
from bramble.evidence.mixture import POINTS, Floats
from bramble.evidence.ratio import RatioTest, State

Pair = tuple[float, float]
"""Bad events and events; or an expected rate and its relative variance."""

DECIMALS = 6
"""Of numbers that are kept. What follows from a number that was kept follows from it again."""

SIGNIFICANT = 4
"""Digits of an expected rate. More of 5,000 nodes would not fit into a ConfigMap, and none is known as well."""

NUMBERS = 2 * POINTS
"""Of a state that is kept."""


class Node(NamedTuple):
    """One node in an attempt.

    Attributes:
        candidate: whether it has the candidate.
        sums: its bad events and events.
        baseline: its expected rate, and the relative variance of that.
        since: what the stable cohort had counted when the sums began: bad events, and events times the expected rates of their nodes.
    """

    candidate: bool
    sums: Pair
    baseline: Pair
    since: Pair = (0.0, 0.0)


class Seen(NamedTuple):
    """What the nodes show beside their sum.

    Attributes:
        spread: by how much the ratio of an unchanged version would differ from 1, as the standard deviation of its logarithm.
        single: evidence in nats of single nodes that the candidate is worse (`cohorts.single_nodes`).
        drift: by how much the rates of stable nodes changed by themselves, as a relative standard deviation; 0.2 is 20 %.
    """

    spread: float
    single: float
    drift: float


def expected_rates(history: Sequence[Pair]) -> tuple[list[Pair], Pair]:
    """The baseline of each node by its bad events and events, and that of a node without history."""
    found = baselines(*np.array([*history, (0.0, 0.0)]).T)
    pairs = [(_short(rate), _short(variance)) for rate, variance in zip(found.rate.tolist(), found.variance.tolist(), strict=True)]
    return pairs[:-1], pairs[-1]


def state_of(test: RatioTest, kept: Sequence[float]) -> State:
    """The state that was kept; the start without one."""
    return np.array(kept).reshape(2, -1) if kept else test.start()


def look(test: RatioTest, kept: Sequence[float], candidate: float, total: float, share: float) -> tuple[float, ...]:
    """One look (`RatioTest.look`): the state to keep, its two rows one after the other."""
    return tuple(np.round(test.look(state_of(test, kept), candidate, total, share), DECIMALS).reshape(-1).tolist())


def compare(test: RatioTest, nodes: Sequence[Node], stable: Pair, former: Former | None = None) -> Seen:
    """What the nodes that had any event show, each compared with its own baseline (`cohorts.compare_nodes`).

    Args:
        stable: what the stable cohort has counted, as in `Node.since`.
        former: a stable cohort of which no node is left (`former_cohort`).
    """
    sums, baseline, since = (np.array([node[part] for node in nodes], np.float64).reshape(-1, 2) for part in (1, 2, 3))
    mine, beside = np.array([node.candidate for node in nodes], np.bool_), np.maximum(0.0, np.array(stable) - since)
    found = compare_nodes(test, sums[:, 0], sums[:, 1] * baseline[:, 0], baseline[:, 1], mine, Beside(*beside.T), former)
    spread, single, drifted = (round(float(each), DECIMALS) for each in (found.spread, found.single, found.drift.variance**0.5))
    return Seen(spread, single, drifted)


def deviation(nodes: Sequence[Node]) -> float | None:
    """Standard deviation of the nodes' rates of bad events, each node weighing the same; None for fewer than two nodes with events."""
    rates = [bad / events for bad, events in (node.sums for node in nodes) if events > 0]
    return round(float(np.std(rates, ddof=1)), DECIMALS) if len(rates) > 1 else None


def former_cohort(nodes: Sequence[Node]) -> Former:
    """What is kept of the stable ones of these nodes once none of them is left."""
    bad, expected, variance = _compared([node for node in nodes if not node.candidate])
    allowed = round(float(drift(bad, expected, variance).allowed), DECIMALS)
    return Former(allowed, round(float(sum_variance(expected, variance + allowed)), DECIMALS))


def _compared(nodes: Sequence[Node]) -> tuple[Floats, Floats, Floats]:
    """Bad events, expected bad events and the variance of the expected rate, by node; without those of nodes that are broken."""
    sums, baseline = (np.array([node[part] for node in nodes], np.float64).reshape(-1, 2) for part in (1, 2))
    counted = ~np.array(broken_nodes(nodes), np.bool_)
    return sums[:, 0] * counted, sums[:, 1] * baseline[:, 0] * counted, baseline[:, 1]


def broken_nodes(nodes: Sequence[Node]) -> list[bool]:
    """Which nodes are stable and plainly broken (`drift.broken`). Their next events are compared with nothing."""
    stable = [place for place, node in enumerate(nodes) if not node.candidate]
    bad = [nodes[place].sums[0] for place in stable]
    out = [False] * len(nodes)
    if max(bad, default=0) >= FEWEST_BROKEN:
        found = broken(bad, [nodes[place].sums[1] * nodes[place].baseline[0] for place in stable])
        for place, is_broken in zip(stable, found.tolist(), strict=True):
            out[place] = is_broken
    return out


def names_of_broken(nodes: Mapping[str, Node]) -> frozenset[str]:
    """The names of those that are stable and plainly broken."""
    return frozenset(name for name, is_broken in zip(nodes, broken_nodes(tuple(nodes.values())), strict=True) if is_broken)


def _short(number: float) -> float:
    return float(f"{number:.{SIGNIFICANT - 1}e}")
