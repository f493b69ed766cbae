"""What other rules decide about the same counts, and descriptive figures of a single look at the end of the day.

The rules are written after the documentation of the tools that they are named for; they are not those tools.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.rollouts.worlds import CANARIES, CANDIDATE, HOURS, MINUTES, NODES, Counts, Floats

LEVEL = 0.01
MARGIN = 1.5

PER_MINUTE = 60.0
"""Requests of a node in a minute."""

Z = stats.norm.ppf(1 - LEVEL)
FEWEST = 5
"""Errors that the z-test waits for."""

INTERVAL = 5
"""Minutes of one measurement of an analysis run."""

FAILURES = 3
"""failureLimit: one more failed measurement undoes."""

CONFIDENCE, TOLERANCE = 0.98, 0.25
"""Defaults of Kayenta's judge."""

SAMPLES = 1000


def peeked_z(looks: Counts) -> NDArray[np.bool_]:
    """A z-test of two shares after each minute, one-sided at 1 %, [rollouts].

    Args:
        looks: bad events per minute of canaries and of stable nodes, [rollouts, minutes, 2].
    """
    x, y = (np.cumsum(looks[..., cohort], axis=1) for cohort in (0, 1))
    minutes = np.arange(1, MINUTES + 1) * PER_MINUTE
    n, m = CANARIES * minutes, (NODES - CANARIES) * minutes
    p = (x + y) / (n + m)
    error = np.sqrt(np.maximum(p * (1 - p), 1e-300) * (1 / n + 1 / m))
    return np.asarray((((x / n - y / m) / error > Z) & (x + y >= FEWEST)).any(axis=1))


def failure_limit(looks: Counts) -> NDArray[np.bool_]:
    """Argo Rollouts' failureLimit of 3, [rollouts]: a measurement fails if the canaries' rate is above 1.5 times the stable one."""
    measured = looks.reshape(len(looks), -1, INTERVAL, 2).sum(axis=2)
    failed = measured[..., 0] / CANARIES > MARGIN * measured[..., 1] / (NODES - CANARIES)
    return np.asarray(failed.sum(axis=1) > FAILURES)


def mann_whitney(looks: Counts) -> NDArray[np.bool_]:
    """Kayenta's Mann–Whitney test with its defaults, once an hour, about the rates of that hour's minutes, [rollouts]."""
    hours = looks.reshape(len(looks), HOURS, -1, 2)
    canary, control = hours[..., 0] / CANARIES, hours[..., 1] / (NODES - CANARIES) * (1 + TOLERANCE)
    p = stats.mannwhitneyu(canary, control, alternative="greater", axis=-1, method="asymptotic").pvalue
    return np.asarray((p < (1 - CONFIDENCE) / 2).any(axis=1))


RIVALS = {"peeked z-test": peeked_z, "Argo failureLimit": failure_limit, "Kayenta Mann–Whitney": mann_whitney}


def descriptive(nodes: Floats, events: float, random: np.random.Generator) -> dict[str, float]:
    """The shares of rollouts for which one look at the end of the day gives p < 1 %.

    Args:
        nodes: bad events of each node, [rollouts, nodes].
        events: events of each node.
    """
    rates = nodes / events
    t = stats.ttest_ind(rates[:, CANDIDATE], rates[:, ~CANDIDATE], axis=-1, equal_var=False, alternative="greater").pvalue
    x, y = nodes[:, CANDIDATE].sum(axis=-1), nodes[:, ~CANDIDATE].sum(axis=-1)
    part = CANARIES / NODES
    squares = (x - part * (x + y)) ** 2 / (part * (1 - part) * np.maximum(x + y, 1))
    some = rates[: len(rates) // 10 + 1]
    drawn = [_resampled(some[:, CANDIDATE], random) <= _resampled(some[:, ~CANDIDATE], random) for _ in range(SAMPLES)]
    return {
        "t": round(float(np.mean(t < LEVEL)), 4),
        "chi-square": round(float(np.mean((stats.chi2.sf(squares, 1) < LEVEL) & (x / CANARIES > y / (NODES - CANARIES)))), 4),
        "bootstrap": round(float(np.mean(np.mean(drawn, axis=0) < LEVEL)), 4),
    }


def _resampled(rates: Floats, random: np.random.Generator) -> Floats:
    """The mean rate of nodes that are drawn again with replacement, [rollouts]."""
    return np.asarray(np.take_along_axis(rates, random.integers(rates.shape[1], size=rates.shape), axis=1).mean(axis=1))
