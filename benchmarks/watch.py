"""How often a watch of 24 hours undoes a version that did not change, and how soon it undoes one that turns bad.

The operator's own functions (`bramble.evidence`) watch simulated fleets: each node answers one request a second, was tried for half an
hour, and reports every five minutes. The margin of the guardrail is 1, so that nothing but its evidence keeps an unchanged version.
Exits with 1 when more than α of the unchanged versions are undone.

    .venv/bin/python benchmarks/watch.py --fleets 1000
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from math import log
from statistics import median

import numpy as np

from bramble.evidence.drift import ASSUMED, ASSUMED_ERROR
from bramble.evidence.nodes import expected_rates
from bramble.evidence.rise import GROUPS, HOUR_SECONDS, above_own, first_hour, later_hours, margin_of, own_spread, shown
from bramble.evidence.verdict import HOUR, MINUTE

ALPHA = 0.01
TRIED, WATCHED, LOOK = HOUR // 2, 24 * HOUR, 5 * MINUTE
DRIFT = ASSUMED + ASSUMED_ERROR
"""The relative variance of nodes that is allowed for while nobody has measured it."""


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        name: what happens.
        nodes: of the fleet.
        rate: bad requests per request, in the mean.
        sigma: by how much nodes differ: the standard deviation of the logarithm of their rates.
        drift: by how much nodes change by themselves at the promotion, likewise.
        times: by how much the rate of every node rises in the twentieth hour; 1 for an unchanged version.
        broken: how many nodes fail all requests from the sixth hour on.
    """

    name: str
    nodes: int = 100
    rate: float = 0.001
    sigma: float = 0.5
    drift: float = 0.0
    times: float = 1.0
    broken: int = 0


ROWS = (
    Row("unchanged"),
    Row("unchanged, many errors", rate=0.02),
    Row("unchanged, ten nodes", nodes=10),
    Row("unchanged, few errors", rate=0.00002),
    Row("unchanged, nodes drift by 20 %", drift=0.2),
    Row("unchanged, three broken nodes", broken=3),
    Row("twice the rate", times=2.0),
    Row("three times the rate", times=3.0),
    Row("ten times the rate", times=10.0),
)


def undone_after(row: Row, random: np.random.Generator) -> float | None:
    """After how many seconds one fleet's watch undoes the version; None where it does not."""
    rates = row.rate * np.exp(row.sigma * random.standard_normal(row.nodes) - row.sigma**2 / 2)
    tried = random.binomial(TRIED, np.minimum(rates, 1.0))
    own, _ = expected_rates([(float(bad), float(TRIED)) for bad in tried])
    expected = np.array([rate for rate, _ in own])
    spread = own_spread(float(tried.sum()), expected, [variance + DRIFT for _, variance in own])
    margin = margin_of(1.0, spread, ALPHA / 2)
    rates = rates * np.exp(row.drift * random.standard_normal(row.nodes) - row.drift**2 / 2)
    groups, active = np.arange(row.nodes) % GROUPS, [group < row.nodes for group in range(GROUPS)]
    sums, begun = first_hour(), 1
    for second in range(LOOK, WATCHED + 1, LOOK):
        now = rates * (row.times if second > 19 * HOUR else 1.0)
        now[: row.broken] = 1.0 if second > 6 * HOUR else now[: row.broken]
        bad = random.binomial(LOOK, np.minimum(now, 1.0))
        hours = second // HOUR_SECONDS + 1
        by_group = (np.bincount(groups, weights, GROUPS) for weights in (bad, expected * LOOK))
        sums, begun = later_hours(sums + above_own(margin, *by_group), begun, hours), hours
        if shown(sums, begun, active) >= log(2 / ALPHA):
            return float(second)
    return None


def measure(row: Row, fleets: int, seed: int) -> dict[str, object]:
    """One row's figures."""
    found = [undone_after(row, np.random.default_rng((seed, number))) for number in range(fleets)]
    undone = [second for second in found if second is not None]
    late = [second - 19 * HOUR for second in undone if second > 19 * HOUR]
    minutes = round(median(late) / MINUTE) if row.times > 1 and late else None
    return {**asdict(row), "fleets": fleets, "undone": len(undone) / fleets, "medianMinutes": minutes}


def main(arguments: list[str] | None = None) -> int:
    """0 when unchanged versions keep α."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleets", type=int, default=200, help="simulated fleets a row (default: 200)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    rows = [measure(row, options.fleets, options.seed) for row in ROWS]
    print(json.dumps({"alpha": ALPHA, "hours": WATCHED // HOUR, "rows": rows}, indent=1))
    return int(any(row.times == 1 and figures["undone"] > ALPHA for row, figures in zip(ROWS, rows, strict=True)))  # type: ignore[operator]


if __name__ == "__main__":
    sys.exit(main())
