"""Lets the evidence decide about simulated rollouts, as the operator does: at each look, with the functions of `bramble.evidence`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.rollouts.worlds import (
    BLOCK,
    BLOCKS,
    CANARIES,
    CANDIDATE,
    LOOKS,
    MINUTES,
    NODES,
    REPORT,
    SAMPLES,
    Counts,
    Fleets,
    Floats,
    Memory,
    Silences,
    World,
    reports,
)
from bramble.evidence.baselines import baselines
from bramble.evidence.cohorts import Comparison, compare
from bramble.evidence.drift import broken
from bramble.evidence.growth import slope, steeper
from bramble.evidence.losses import moment, most_are_lost
from bramble.evidence.ratio import RatioTest
from bramble.evidence.verdict import Levels

LEVELS = Levels(false_rollback=0.01, false_promotion=0.05, guardrails=2)
"""The default rates of wrong decisions, for one guardrail of the spec and `lost`, which is always judged."""

TEST = RatioTest(1.5)
"""The default margin."""

STEP = BLOCK // LOOKS
HOURLY = 6
"""Blocks after which every rollout is compared node by node; one whose sum over nodes shows something, at that look."""

LATER = 1.02
"""By how much the time has to have grown before a rollout is compared node by node again. It only saves time."""

REPLAYED = 10
"""Undone rollouts of a row whose decision is computed again from what was counted."""


class Kept(NamedTuple):
    """All that one rollout counted until it was decided, to decide it again.

    Attributes:
        looks: bad events of both cohorts and the share at each look, [looks, 3].
        nodes: bad events of each node, [nodes].
        expected: what was expected of each node, [nodes].
        variance: `Baselines.variance`, [nodes].
    """

    looks: Floats
    nodes: Floats
    expected: Floats
    variance: Floats


class Trial:
    """What became of the rollouts of one row.

    Attributes:
        undone: seconds until the undo, infinite for the others, [rollouts].
        passed: seconds until the guardrail passed, infinite for the others, [rollouts].
        events: bad events of both cohorts until the undo, [rollouts].
        spread: what the last comparison allowed for (`Comparison.spread`), [rollouts], or empty.
        looks: bad events per minute of canaries and of stable nodes, [rollouts, minutes, 2], where they are kept.
        nodes: bad events of each node in the whole day, [rollouts, nodes], where they are kept.
        replayed: how many decisions were computed again.
        differing: how many of these came out differently.
    """

    def __init__(self, rollouts: int) -> None:
        """Nothing is decided."""
        self.undone: Floats = np.full(rollouts, np.inf)
        self.passed: Floats = np.full(rollouts, np.inf)
        self.events: Floats = np.zeros(rollouts)
        self.spread: Floats = np.zeros(0)
        self.looks: Counts | None = None
        self.nodes: Floats | None = None
        self.replayed = 0
        self.differing = 0


def count_events(world: World, rollouts: int, random: np.random.Generator, *, keep: bool = False) -> Trial:
    """A guardrail that counts bad events, for a day.

    Args:
        keep: whether to keep the counts of all minutes for rivals.
    """
    fleets = Fleets(world, rollouts, random)
    state = TEST.start((rollouts,))
    trial = Trial(rollouts)
    bad, expected, seen = np.zeros((rollouts, NODES)), np.zeros((rollouts, NODES)), np.zeros(rollouts)
    again = np.zeros(rollouts)
    history: list[Floats] = []
    kept: list[tuple[int, Kept]] = []
    for k, block in enumerate(fleets.blocks()):
        due = fleets.baselines.rate * block.events
        out = broken(bad[:, ~CANDIDATE], expected[:, ~CANDIDATE])
        compared = due.copy()
        compared[:, ~CANDIDATE] *= ~out
        share = due[:, CANDIDATE].sum(axis=-1) / np.maximum(compared.sum(axis=-1), 1e-300)
        candidate = fleets.by_look(block.bad[:, CANDIDATE], block.busy)
        totals = candidate + fleets.by_look(block.bad[:, ~CANDIDATE] * ~out, block.busy)
        history.append(np.stack((candidate, totals, np.broadcast_to(share[:, np.newaxis], totals.shape)), axis=-1))
        done = np.cumsum(np.stack((candidate, totals), axis=-1), axis=1)
        within = TEST.look(state[:, np.newaxis], done[..., 0], done[..., 1], share[:, np.newaxis])
        # A mean is at most its largest term, so most of the means need not be computed.
        showing = within[..., 0, :].max(axis=-1) >= LEVELS.fail_at
        showing[showing] = TEST.worse(within[showing]) >= LEVELS.fail_at
        for j in range(LOOKS):
            now = (k * LOOKS + j + 1) * STEP
            hourly = j == LOOKS - 1 and k % HOURLY == HOURLY - 1
            some = np.flatnonzero(np.isinf(trial.undone) & (hourly | (showing[:, j] & (now >= again))))
            if not len(some):
                continue
            part = (j + 1) / LOOKS
            nodes, exposed = bad[some] + np.floor(block.bad[some] * part), expected[some] + due[some] * part
            found = compare(TEST, within[some, j], nodes, exposed, fleets.baselines.variance[some], CANDIDATE)
            again[some] = now * LATER
            hit = found.worse >= LEVELS.fail_at
            for at in np.flatnonzero(hit)[: REPLAYED - len(kept)]:
                one = int(some[at])
                counted = np.concatenate([each[one] for each in history])[: k * LOOKS + j + 1]
                kept.append((one, Kept(counted, nodes[at], exposed[at], fleets.baselines.variance[one])))
            trial.undone[some[hit]] = now
            trial.events[some[hit]] = seen[some[hit]] + done[some[hit], j, 1]
            if hourly:
                fine = some[(found.fine >= LEVELS.pass_at) & ~hit]
                trial.passed[fine] = np.minimum(trial.passed[fine], now)
        state = TEST.look(state, done[:, -1, 0], done[:, -1, 1], share)
        bad, expected, seen = bad + block.bad, expected + due, seen + done[:, -1, 1]
    trial.replayed = len(kept)
    trial.differing = sum(float(replay(each).worse) < LEVELS.fail_at for _, each in kept)
    trial.spread = compare(TEST, state, bad, expected, fleets.baselines.variance, CANDIDATE).spread
    if keep:
        whole = np.concatenate(history, axis=1)
        trial.looks = np.stack((whole[..., 0], whole[..., 1] - whole[..., 0]), axis=-1).astype(np.int64)
        trial.nodes = bad
    return trial


def replay(kept: Kept) -> Comparison:
    """Judge one rollout again, look by look, from what it counted."""
    state = TEST.start()
    for candidate, total, share in kept.looks:
        state = TEST.look(state, candidate, total, share)
    return compare(TEST, state, kept.nodes, kept.expected, kept.variance, CANDIDATE)


class Tenfold(NamedTuple):
    """How soon a tenfold rate is found.

    Attributes:
        undone: seconds until the undo, infinite for the others, [rollouts].
        reports: how many reports after the canaries' fifteenth error, [rollouts]; negative before it.
    """

    undone: Floats
    reports: Floats


def first_minutes(world: World, rollouts: int, seconds: int, random: np.random.Generator) -> Tenfold:
    """The first minutes at the pace of reports, each node compared at each of them."""
    fleets, bad = reports(world, rollouts, seconds, random)
    due = fleets.baselines.rate * world.per_second * REPORT
    share = due[:, CANDIDATE].sum(axis=-1) / due.sum(axis=-1)
    state = TEST.start((rollouts,))
    undone = np.full(rollouts, np.inf)
    counted = np.zeros((rollouts, NODES))
    for k in range(bad.shape[1]):
        now = bad[:, k]
        state = TEST.look(state, now[:, CANDIDATE].sum(axis=-1), now.sum(axis=-1), share)
        counted = counted + now
        some = np.flatnonzero(np.isinf(undone) & (TEST.worse(state) >= LEVELS.fail_at))
        found = compare(TEST, state[some], counted[some], due[some] * (k + 1), fleets.baselines.variance[some], CANDIDATE)
        undone[some[found.worse >= LEVELS.fail_at]] = (k + 1) * REPORT
    canaries = np.cumsum(bad[..., CANDIDATE].sum(axis=-1), axis=1)
    fifteenth = (canaries < FIFTEEN).sum(axis=1) + 1
    return Tenfold(undone, undone / REPORT - fifteenth)


FIFTEEN = 15


def lose_nodes(silences: Silences, rollouts: int, random: np.random.Generator) -> Trial:
    """The guardrail `lost`, minute by minute, for a day."""
    losses, hours = silences.history(rollouts, random)
    base = baselines(losses, hours)
    lost = silences.lost(rollouts, random)
    share = base.rate[:, CANDIDATE].sum(axis=-1) / base.rate.sum(axis=-1)
    state = TEST.start((rollouts,))
    trial = Trial(rollouts)
    counted = np.zeros((rollouts, NODES))
    for k in range(MINUTES):
        now = lost[:, k]
        one = moment(now[:, CANDIDATE].sum(axis=-1), now[:, ~CANDIDATE].sum(axis=-1))
        state = TEST.look(state, one.candidate, one.total, share)
        counted = counted + now * one.weight[:, np.newaxis]
        some = np.flatnonzero(np.isinf(trial.undone) & now[:, CANDIDATE].any(axis=-1))
        if not len(some):
            continue
        found = compare(TEST, state[some], counted[some], base.rate[some] * (k + 1) / 60, base.variance[some], CANDIDATE)
        candidate, stable = now[some][:, CANDIDATE].sum(axis=-1), now[some][:, ~CANDIDATE].sum(axis=-1)
        away = [most_are_lost(int(x), CANARIES, int(y), NODES - CANARIES) for x, y in zip(candidate, stable, strict=True)]
        hit = some[(found.worse >= LEVELS.fail_at) | np.array(away)]
        trial.undone[hit] = (k + 1) * 60
        trial.events[hit] = counted[hit].sum(axis=-1)
    return trial


GROWTH_LOOKS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Hours after the warm-up at which memory is compared."""

LEAST_GROWTH = 1.0
"""MiB per hour by which a canary must grow faster than the median stable node."""

CHUNK = 100


def grow(memory: Memory, rollouts: int, random: np.random.Generator) -> Trial:
    """The guardrail `memory`, at its fixed looks."""
    slopes = memory.slopes(rollouts, random)
    trial = Trial(rollouts)
    for hours in GROWTH_LOOKS:
        at = np.linspace(0, hours, SAMPLES)
        for begin in range(0, rollouts, CHUNK):
            part = slice(begin, begin + CHUNK)
            found = slope(at, memory.samples(slopes[part], at, random))
            hit: NDArray[np.bool_] = steeper(found, CANDIDATE, LEAST_GROWTH) <= LEVELS.p_at(len(GROWTH_LOOKS))
            trial.undone[part] = np.where(hit & np.isinf(trial.undone[part]), hours * 3600, trial.undone[part])
    return trial


assert BLOCKS * LOOKS == MINUTES
