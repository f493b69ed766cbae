"""Lets the evidence decide about simulated rollouts, as the operator does: at each look, with the functions of `bramble.evidence`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.rollouts.attempt import Attempt
from benchmarks.rollouts.ledger import Day, judged_at, judgements
from benchmarks.rollouts.worlds import (
    BLOCK,
    BLOCKS,
    CANARIES,
    CANDIDATE,
    HOURS,
    LOOK,
    LOOKS,
    MINUTES,
    NODES,
    REPORT,
    Block,
    Counts,
    Fleets,
    Floats,
    Memory,
    Silences,
    World,
    reports,
)
from bramble.api.guardrail import Guardrail
from bramble.evidence.baselines import baselines
from bramble.evidence.growth import LOOK_HOURS, SAMPLES, flattest, lasting, most_nodes, rising, slope, steepest
from bramble.evidence.losses import moment, most_are_lost
from bramble.evidence.ratio import RatioTest
from bramble.evidence.verdict import Levels
from bramble.guardrails.evidence import Growth, GrowthLook, GuardEvidence
from bramble.guardrails.memory import MEMORY
from bramble.kinds.rollout.analysis import rule_of

LEVELS = Levels(false_rollback=0.01, false_promotion=0.05, guardrails=2)
"""The default rates of wrong decisions, for one guardrail of the spec and `lost`, which is always judged."""

TEST = RatioTest(1.5)
"""The default margin."""

ALLOWED = 0.01
"""The share of slow requests that a latency guardrail with the quantile 0.99 allows."""

HOURLY = 60
"""Looks after which every rollout is compared node by node; one whose sum over nodes shows something, at that look."""

LATER = 1.02
"""By how much the time has to have grown before a rollout is compared node by node again. It only saves time."""

REPLAYED = 1
"""Undone rollouts of each part of a row that the operator's own ledger decides again, of the same counts."""


class Trial:
    """What became of the rollouts of one row.

    Attributes:
        undone: seconds until the undo, infinite for the others, [rollouts].
        passed: seconds until the guardrail passed, infinite for the others, [rollouts].
        events: bad events of both cohorts until the undo, [rollouts].
        spread: what the last comparison allowed for (`ByNode.spread`), [rollouts], or empty.
        looks: bad events per minute of canaries and of stable nodes, [rollouts, minutes, 2], where they are kept.
        nodes: bad events of each node in the whole day, [rollouts, nodes], where they are kept.
        replayed: how many rollouts the operator's ledger decided again.
        differing: how many of these it decided differently.
    """

    def __init__(self, rollouts: int) -> None:
        """Nothing is decided."""
        self.undone: Floats = np.full(rollouts, np.inf)
        self.passed: Floats = np.full(rollouts, np.inf)
        self.events: Floats = np.zeros(rollouts)
        self.spread: Floats = np.zeros(0)
        self.looks: Counts | None = None
        self.nodes: Counts | None = None
        self.replayed = 0
        self.differing = 0


def begin(world: World, fleets: Fleets) -> Attempt:
    """The attempt of these fleets. A latency guardrail allows the share of requests that its quantile leaves."""
    return Attempt(TEST, fleets.baselines, fleets.before, ALLOWED if world.metric == "latency" else None)


def count_events(world: World, rollouts: int, random: np.random.Generator, *, keep: bool = False) -> Trial:
    """A guardrail that counts bad events, for a day.

    Args:
        keep: whether to keep the counts of all minutes for rivals.
    """
    fleets = Fleets(world, rollouts, random)
    attempt, trial, again = begin(world, fleets), Trial(rollouts), np.zeros(rollouts)
    blocks = []
    for k, block in enumerate(fleets.blocks()):
        blocks.append(block)
        for j in range(LOOKS):
            attempt.look(block.bad[:, j], block.events[:, j], world.candidate(k), LOOK)
            now = (k * LOOKS + j + 1) * LOOK
            hourly = now % (HOURLY * LOOK) == 0
            some = np.flatnonzero(np.isinf(trial.undone) & (hourly | (showing(attempt) & (now >= again))))
            if len(some):
                hit = decide(attempt, trial, some, now, passes=hourly)
                again[some] = now * LATER
                trial.events[hit] = attempt.seen[hit]
    trial.spread = attempt.shown(np.arange(rollouts)).spread
    replay(world, fleets, blocks, trial)
    if keep:
        bad = np.concatenate([block.bad for block in blocks], axis=1)
        trial.looks = np.stack((bad[..., CANDIDATE].sum(axis=-1), bad[..., ~CANDIDATE].sum(axis=-1)), axis=-1)
        trial.nodes = bad.sum(axis=1)
    return trial


def showing(attempt: Attempt) -> NDArray[np.bool_]:
    """Whose sum over nodes would decide if nodes did not drift, [rollouts]."""
    return np.asarray(TEST.worse(attempt.state) >= LEVELS.fail_at)


def decide(attempt: Attempt, trial: Trial, some: Counts, now: float, *, passes: bool) -> Counts:
    """Judge these rollouts now. Returns those that are undone."""
    found = attempt.shown(some)
    undone = found.worse >= LEVELS.fail_at
    trial.undone[some[undone]] = now
    if passes:
        fine = some[(found.fine >= LEVELS.pass_at) & ~undone]
        trial.passed[fine] = np.minimum(trial.passed[fine], now)
    return some[undone]


def replay(world: World, fleets: Fleets, blocks: Sequence[Block], trial: Trial) -> None:
    """Let the operator's ledger decide again about some that were undone, at the look at which they were."""
    if world.metric == "latency":
        return  # the operator learns first which requests are slow, and the simulation counts them as such
    for one in np.flatnonzero(np.isfinite(trial.undone))[:REPLAYED].tolist():
        look = round(trial.undone[one] / LOOK) - 1
        found = judged_at(world, TEST.margin, day(fleets, blocks[: look // LOOKS + 1], one), look)
        trial.replayed += 1
        trial.differing += found.guardrails[0].verdict != "Fail"


def day(fleets: Fleets, blocks: Sequence[Block], one: int) -> Day:
    """What the nodes of one rollout counted in these blocks."""
    return Day(fleets.before[:, one], *(np.concatenate([block[part][one] for block in blocks]) for part in range(3)))


def through_ledger(world: World, rollouts: int, random: np.random.Generator, hours: int = HOURS) -> Trial:
    """The same by the operator's own ledger, evidence and judgement, at every look. The arrays have to decide each at the same look."""
    fleets = Fleets(world, rollouts, random)
    blocks = list(islice(fleets.blocks(), hours * 3600 // BLOCK))
    arrays, attempt, trial = Trial(rollouts), begin(world, fleets), Trial(rollouts)
    for k, block in enumerate(blocks):
        for j in range(LOOKS):
            attempt.look(block.bad[:, j], block.events[:, j], world.candidate(k), LOOK)
            decide(attempt, arrays, np.flatnonzero(np.isinf(arrays.undone)), (k * LOOKS + j + 1) * LOOK, passes=True)
    for one in range(rollouts):
        counted = day(fleets, blocks, one)
        for look, judged in enumerate(judgements(world, TEST.margin, counted), 1):
            if judged.guardrails[0].verdict == "Fail":
                trial.undone[one], trial.events[one] = look * LOOK, counted.bad[:look].sum()
                break
            if judged.guardrails[0].verdict == "Pass":
                trial.passed[one] = min(trial.passed[one], look * LOOK)
    trial.replayed = rollouts
    trial.differing = int(((arrays.undone != trial.undone) | (arrays.passed != trial.passed)).sum())
    return trial


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
    attempt, trial = begin(world, fleets), Trial(rollouts)
    events = np.full(bad[:, 0].shape, world.per_second * REPORT)
    for k in range(bad.shape[1]):
        attempt.look(bad[:, k], events, CANDIDATE, REPORT)
        some = np.flatnonzero(np.isinf(trial.undone) & showing(attempt))
        if len(some):
            decide(attempt, trial, some, (k + 1) * REPORT, passes=False)
    undone = trial.undone
    canaries = np.cumsum(bad[..., CANDIDATE].sum(axis=-1), axis=1)
    fifteenth = (canaries < FIFTEEN).sum(axis=1) + 1
    return Tenfold(undone, undone / REPORT - fifteenth)


FIFTEEN = 15


def lose_nodes(silences: Silences, rollouts: int, random: np.random.Generator) -> Trial:
    """The guardrail `lost`, minute by minute, for a day."""
    losses, hours = silences.history(rollouts, random)
    base = baselines(losses, hours)
    attempt, trial = Attempt(TEST, base, (losses, hours)), Trial(rollouts)
    lost = silences.lost(rollouts, random)
    for k in range(MINUTES):
        now = lost[:, k]
        candidate, stable = now[:, CANDIDATE].sum(axis=-1), now[:, ~CANDIDATE].sum(axis=-1)
        attempt.look(now * moment(candidate, stable).weight[:, np.newaxis], np.full(now.shape, 1 / 60), CANDIDATE, LOOK)
        some = np.flatnonzero(np.isinf(trial.undone) & (candidate > 0))
        if not len(some):
            continue
        decide(attempt, trial, some, (k + 1) * LOOK, passes=False)
        pairs = zip(candidate[some].tolist(), stable[some].tolist(), strict=True)
        away = some[np.array([most_are_lost(x, CANARIES, y, NODES - CANARIES) for x, y in pairs])]
        trial.undone[away] = np.minimum(trial.undone[away], (k + 1) * LOOK)
        trial.events[some[np.isfinite(trial.undone[some])]] = attempt.seen[some[np.isfinite(trial.undone[some])]]
    return trial


GROWTH = rule_of(Guardrail(metric=MEMORY.name))
"""The guardrail with its defaults."""


def grow(memory: Memory, rollouts: int, random: np.random.Generator) -> Trial:
    """The guardrail `memory`, at its fixed looks, by the operator's judgement of each."""
    slopes = memory.slopes(rollouts, random)
    trial = Trial(rollouts)
    looks: list[tuple[GrowthLook, ...]] = [()] * rollouts
    allowed = GROWTH.allowed_growth or 0.0
    for hours in LOOK_HOURS:
        at, half = np.arange(1, SAMPLES + 1) * hours / SAMPLES, SAMPLES // 2
        samples = memory.samples(slopes, at, random)
        found = slope(at, samples)
        steep, flat = steepest(found, CANDIDATE, allowed), flattest(found, CANDIDATE, allowed)
        halves = np.stack((slope(at[:half], samples[..., :half]), slope(at[half:], samples[..., half:])), axis=-1)
        more = np.median(halves[:, CANDIDATE], axis=1) - np.median(halves[:, ~CANDIDATE], axis=1)
        under = rising(at, -samples[:, CANDIDATE], -allowed)
        for one in np.flatnonzero(np.isinf(trial.undone)):
            look = GrowthLook(
                hours=hours,
                draws=((CANARIES, NODES),),
                candidate=float(np.median(found[one, CANDIDATE])),
                stable=float(np.median(found[one, ~CANDIDATE])),
                steep=int(steep[one]),
                flat=int(flat[one]),
                under=most_nodes(under[one]),
                lasting_more=lasting(float(more[one, 0]), float(more[one, 1]), hours),
            )
            looks[one] = (*looks[one], look)
            verdict = MEMORY.judge(GROWTH, GuardEvidence(metric=MEMORY.name, growth=Growth(looks=looks[one])), LEVELS).verdict
            if verdict == "Fail":
                trial.undone[one] = hours * 3600
            elif verdict == "Pass":
                trial.passed[one] = min(trial.passed[one], hours * 3600)
    return trial


assert BLOCKS * LOOKS == MINUTES
