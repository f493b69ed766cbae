"""How often an unchanged version is undone in fleets of a few nodes, of which each drifts by half."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.rollouts.attempt import Attempt
from bramble.evidence.baselines import baselines
from bramble.evidence.ratio import RatioTest
from bramble.evidence.verdict import Levels

LEVELS = Levels(false_rollback=0.01, false_promotion=0.05, guardrails=2)
MARGIN, ROLLOUTS, HOURS, LAST_HOURS, RATE = 1.5, 1500, 24, 8, 1e-3


@pytest.mark.parametrize(("nodes", "canaries", "most"), [(4, 2, 0.03), (10, 5, 0.03)])
def test_unchanged_versions_on_few_nodes_that_drift_by_half(nodes: int, canaries: int, most: float) -> None:
    random = np.random.default_rng(4)
    shape = (ROLLOUTS, nodes)
    own = RATE * np.exp(random.normal(0, 0.5, shape) - 0.5**2 / 2)
    day = np.full(shape, 86_400.0)
    before = np.stack((random.poisson(own * day).astype(float), day))
    present = own * np.exp(random.normal(0, 0.5, shape) - 0.5**2 / 2)
    attempt, undone, hour = Attempt(RatioTest(MARGIN), baselines(*before), before), np.zeros(ROLLOUTS, np.bool_), np.full(shape, 3600.0)

    def watch(hours: int, candidate: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        for _ in range(hours):
            attempt.look(random.poisson(present * hour), hour, candidate, 3600)
            undone[attempt.shown(np.arange(ROLLOUTS)).worse >= LEVELS.fail_at] = True

    watch(HOURS, np.arange(nodes) < canaries)
    in_steps = int(undone.sum())
    watch(LAST_HOURS, np.ones(nodes, np.bool_))
    assert in_steps / ROLLOUTS <= most
    assert undone.sum() - in_steps <= 3, "the last step adds hardly anything"
