"""Nodes that fall silent: what counts as one event, and what needs no statistics at all.

A site without power takes all of its nodes at the same moment, and that says no more than one node does. A version that breaks its nodes
takes the canaries and leaves the stable nodes alone. So losses of one moment, an interval of a minute or so, count as independent as long
as no more than one stable node is among them; with y stable nodes among them, each counts as a y-th.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bramble.evidence.mixture import Floats

MOST = 0.5
"""The share of lost canaries from which on a candidate is undone without any test."""

FEWEST = 2
"""How many canaries that has to be at least."""

CALMER = 5.0
"""By how many times the share of lost stable nodes has to be smaller: where a site is offline, it may have half of the canaries."""


class Moment(NamedTuple):
    """Losses of one moment, as `RatioTest.look` takes them.

    Attributes:
        candidate: events of the candidate, [...].
        total: events of both cohorts, [...].
        weight: how much each lost node counts, [...].
    """

    candidate: Floats
    total: Floats
    weight: Floats


def moment(candidate: ArrayLike, stable: ArrayLike) -> Moment:
    """What the losses of one moment count as.

    This is a heuristic. A product of likelihood ratios to the power 1/k, over losses of which at most k depend on each other, has a mean of
    at most 1 (Hölder's inequality); but of x + y losses of one site all x + y depend on each other, and the power is 1/y, so that a canary
    that is lost alone, or beside one stable node, counts in full.

    Args:
        candidate: canaries that fell silent in this interval, or gave the version up, [...].
        stable: stable nodes that fell silent in it, [...].
    """
    x, y = np.asarray(candidate, np.float64), np.asarray(stable, np.float64)
    weight = 1 / np.maximum(1.0, y)
    return Moment(candidate=x * weight, total=(x + y) * weight, weight=weight)


def most_are_lost(lost: int, canaries: int, stable_lost: int, stable: int) -> bool:
    """Whether so many canaries are away at once, and so few stable nodes, that no test is needed. It stands outside of α."""
    return lost >= max(FEWEST, MOST * canaries) and CALMER * stable_lost * canaries <= lost * stable
