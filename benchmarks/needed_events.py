"""How many bad events a guardrail needs until it fails or passes, where neither nodes differ nor drift: what a rollout needs at least.

Prints the table of docs/rollouts.md, "How long it takes": for the candidate's share of the traffic, and for the ratio of its rate to the
stable version's, the candidate's bad events at the median and in the slowest tenth of `--runs` simulated rollouts.

Usage: python benchmarks/needed_events.py [--runs N]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bramble.evidence.mixture import Floats
from bramble.evidence.ratio import RatioTest
from bramble.evidence.verdict import Levels

LEVELS = Levels(false_rollback=0.01, false_promotion=0.05, guardrails=2)
"""The default error rates, for one guardrail of the spec and `lost`."""

TEST = RatioTest(1.5)
"""The default margin."""

SHARES = (0.1, 0.25, 0.5)
RATIOS = (1, 2, 3, 10)
MOST = 20_000
"""Bad events of both cohorts after which a rollout counts as undecided."""


def needed(share: float, ratio: float, runs: int, random: np.random.Generator) -> Floats:
    """The candidate's bad events when the guardrail fails (it passes, where the ratio is 1), infinite for undecided ones, [runs].

    Args:
        share: the candidate's part of all events.
        ratio: its rate as a multiple of the stable version's.
    """
    part = share * ratio / (share * ratio + 1 - share)
    at_once = 1 if ratio > 2 else 5
    state, counted, found = TEST.start((runs,)), np.zeros(runs), np.full(runs, np.inf)
    for _ in range(0, MOST, at_once):
        mine = random.binomial(at_once, part, runs)
        state, counted = TEST.look(state, mine, np.full(runs, at_once), np.full(runs, share)), counted + mine
        decided = TEST.worse(state) >= LEVELS.fail_at if ratio > 1 else TEST.fine(state) >= LEVELS.pass_at
        found[decided & np.isinf(found)] = counted[decided & np.isinf(found)]
        if not np.isinf(found).any():
            break
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="simulated rollouts for each cell (default: 1000)")
    runs = parser.parse_args().runs
    random = np.random.default_rng(1)
    print("share  ratio  median  slowest tenth")
    for share in SHARES:
        for ratio in RATIOS:
            found = needed(share, ratio, runs, random)
            print(f"{share:5.0%}  {ratio:5}  {np.median(found):6.0f}  {np.quantile(found, 0.9):13.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
