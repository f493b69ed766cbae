"""The rows of the table, and what is asked of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from scipy import stats

from benchmarks.rollouts.rivals import RIVALS, descriptive
from benchmarks.rollouts.trials import LEVELS, TEST, Trial, count_events, first_minutes, grow, lose_nodes, through_ledger
from benchmarks.rollouts.worlds import CANARIES, HOURS, LAST_STEP, NODES, STEPS, Memory, Silences, World

Kind = Literal["A/A", "A/B"]

ERRORS, SLOW, ACCURACY, CRASHES = 1e-3, 1e-2, 5e-2, 1e-6
"""Bad events per event: failed requests; requests slower than the stable p99; mistakes; deaths of the agent."""

FEEDBACK = 0.02
"""True labels per second and node."""

MOST_UNDONE, MOST_UPPER = 0.01, 0.015
SHOWING = 300
"""Fewer rollouts cannot show that bound, even if none of them is undone."""

PARTS = 100
"""Rollouts that are simulated together: their arrays fit into a processor's cache."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        trial: simulates so many rollouts, with a generator; those through the ledger also take hours.
        found: the least share of rollouts that has to be undone; None where nothing is asked.
        rivals: whether other rules decide about the same counts.
        most: how many rollouts are simulated at most.
    """

    name: str
    kind: Kind
    sigma: float
    drift: float
    trial: Callable[..., Trial]
    found: float | None = None
    rivals: bool = False
    most: int | None = None


def errors(kind: Kind, sigma: float, drift: float, found: float | None = None) -> Row:
    """Failed requests: unchanged, or twice as many."""
    world = World(rate=ERRORS, sigma=sigma, drift=drift, effect=1.0 if kind == "A/A" else 2.0)
    name = "errors" if kind == "A/A" else "errors × 2"
    return Row(name=name, kind=kind, sigma=sigma, drift=drift, trial=partial(count_events, world, keep=True), found=found, rivals=True)


def answers(sigma: float, drift: float, effect: float = 1.0) -> World:
    """Mistakes among answers with feedback."""
    return World(metric="accuracy", rate=ACCURACY, per_second=FEEDBACK, sigma=sigma, drift=drift, effect=effect)


def counted(name: str, world: World, found: float | None = None) -> Row:
    """Other events that are counted."""
    kind: Kind = "A/A" if world.effect == 1 else "A/B"
    return Row(name=name, kind=kind, sigma=world.sigma, drift=world.drift, trial=partial(count_events, world), found=found)


def ledger(name: str, world: World, most: int, found: float | None = None) -> Row:
    """Errors that the operator's own ledger, evidence and judgement decide about, look by look."""
    row = counted(f"{name}, through the ledger", world, found)
    return replace(row, trial=partial(through_ledger, world), most=most)


def silent(name: str, silences: Silences, found: float | None = None) -> Row:
    """Nodes that fall silent."""
    kind: Kind = "A/B" if silences.deadly else "A/A"
    return Row(name=name, kind=kind, sigma=0.0, drift=0.0, trial=partial(lose_nodes, silences), found=found)


def memory(name: str, world: Memory, found: float | None = None) -> Row:
    """Memory that grows."""
    return Row(name=name, kind="A/B" if world.leak else "A/A", sigma=world.sigma, drift=0.0, trial=partial(grow, world), found=found)


SIGMAS, DRIFTS = (0.0, 0.5, 1.0), (0.0, 0.2, 0.5)
DOUBLED = {0.0: 0.97, 0.2: 0.90, 0.5: None}
"""The least share of doubled error rates to be found, by drift."""

FOUND = 0.97

SOME = ((0.0, 0.0), (0.5, 0.2), (1.0, 0.5))
"""σ and drift of metrics that are simulated for a few of them."""

NIGHT = World(rate=10 * ERRORS, sigma=0.5, drift=0.2, trouble="night", steps=STEPS)
"""Many errors, so that single nodes show something within the night."""

ROWS: tuple[Row, ...] = (
    *(errors("A/A", sigma, drift) for sigma in SIGMAS for drift in DRIFTS),
    *(errors("A/B", sigma, drift, DOUBLED[drift]) for sigma in SIGMAS for drift in DRIFTS),
    counted("errors, weekly reboots", World(rate=ERRORS, sigma=0.5, drift=0.2, trouble="reboots")),
    counted("errors, a site offline", World(rate=ERRORS, sigma=0.5, drift=0.2, trouble="site")),
    counted("errors, bursts on every node", World(rate=ERRORS, sigma=0.5, drift=0.2, trouble="bursts")),
    counted("errors, a stable node breaks", World(rate=ERRORS, sigma=0.5, drift=0.2, trouble="broken")),
    counted("errors × 2, a stable node breaks", World(rate=ERRORS, sigma=0.5, effect=2.0, trouble="broken"), FOUND),
    counted("errors, half of the nodes from a night on", NIGHT),
    counted("errors, every node after six hours", World(rate=ERRORS, sigma=0.5, drift=0.2, steps=LAST_STEP)),
    *(counted("latency", World(metric="latency", rate=SLOW, sigma=sigma, drift=drift)) for sigma, drift in SOME),
    *(counted("accuracy", answers(sigma, drift)) for sigma, drift in SOME),
    counted("slow: 3 × as many slow requests", World(metric="latency", rate=SLOW, sigma=0.5, drift=0.2, effect=3.0), FOUND),
    counted("mistakes × 2", answers(0.5, 0.0, effect=2.0), FOUND),
    counted("crashes", World(metric="crashes", rate=CRASHES, sigma=0.5, drift=0.2)),
    counted("crashing: 50 × as many deaths", World(metric="crashes", rate=CRASHES, sigma=0.5, drift=0.2, effect=50.0), FOUND),
    ledger("errors", World(rate=ERRORS, sigma=0.5, drift=0.2), 8),
    ledger("errors × 2", World(rate=ERRORS, sigma=0.5, effect=2.0), 24, FOUND),
    ledger("errors, half of the nodes from a night on", NIGHT, 4),
    silent("lost, single silences and weekly reboots", Silences()),
    silent("lost, a site offline", Silences(site=True)),
    silent("silent: half of the canaries left an hour", Silences(deadly=0.7), FOUND),
    memory("memory", Memory()),
    memory("memory, unlike nodes", Memory(sigma=3.0)),
    memory("memory that settles for hours", Memory(noise=0.5, settles=20.0)),
    memory("leak: 5 MiB an hour", Memory(leak=5.0), FOUND),
)


def simulate(index: int, rollouts: int, seed: int, hours: int = HOURS) -> dict[str, Any]:
    """One row of the report. Equal arguments give equal rows.

    Args:
        hours: how much of a rollout goes through the ledger, where the row lets all of it.
    """
    row = ROWS[index]
    if row.most is not None:
        row = replace(row, trial=partial(row.trial, hours=hours))
    rollouts = min(rollouts, row.most) if row.most is not None else rollouts
    parts = []
    verdicts: dict[str, list[np.ndarray[Any, np.dtype[np.bool_]]]] = {
        "peeked z-test": [],
        "Argo failureLimit": [],
        "Kayenta Mann–Whitney": [],
    }
    shown = []
    for part, size in enumerate(sizes(rollouts)):
        random = np.random.default_rng([seed, index, part])
        trial = row.trial(size, random)
        parts.append(trial)
        if row.rivals and trial.looks is not None and trial.nodes is not None:
            for name, rival in RIVALS.items():
                verdicts[name].append(rival(trial.looks))
            shown.append(descriptive(trial.nodes.astype(np.float64), HOURS * 3600.0, random))
    undone = np.concatenate([each.undone for each in parts])
    hit = np.isfinite(undone)
    events = np.concatenate([each.events for each in parts])[hit]
    upper = float(stats.beta.ppf(0.95, hit.sum() + 1, rollouts - hit.sum())) if hit.sum() < rollouts else 1.0
    return {
        "name": row.name,
        "kind": row.kind,
        "sigma": row.sigma,
        "drift": row.drift,
        "rollouts": rollouts,
        "undone": round(float(hit.mean()), 5),
        "upper95": round(upper, 5),
        "found": round(float(hit.mean()), 5) if row.kind == "A/B" else None,
        "medianSeconds": float(np.median(undone[hit])) if hit.any() else None,
        "meanEvents": round(float(events.mean()), 1) if hit.any() else None,
        "passed": round(float(np.mean(np.isfinite(np.concatenate([each.passed for each in parts])))), 4),
        "spread": round(float(np.median(np.concatenate([each.spread for each in parts]))), 4) if parts[0].spread.size else None,
        "replayed": sum(each.replayed for each in parts),
        "differing": sum(each.differing for each in parts),
        "rivals": {name: round(float(np.concatenate(each).mean()), 4) for name, each in verdicts.items() if each},
        "descriptive": {name: round(float(np.mean([each[name] for each in shown])), 4) for name in (shown[0] if shown else ())},
        "missed": missed(row, rollouts, float(hit.mean()), upper),
    }


def sizes(rollouts: int) -> list[int]:
    """How many rollouts each part has."""
    whole, rest = divmod(rollouts, PARTS)
    return [PARTS] * whole + [rest] * (rest > 0)


def missed(row: Row, rollouts: int, undone: float, upper: float) -> list[str]:
    """What was asked of a row and is not so."""
    if row.kind == "A/A":
        within = undone <= MOST_UNDONE and (upper <= MOST_UPPER or rollouts < SHOWING)
        return [] if within else [f"at most {100 * MOST_UNDONE:g} % undone, upper bound at most {100 * MOST_UPPER:g} %"]
    return [] if row.found is None or undone >= row.found else [f"at least {100 * row.found:g} % found"]


TENFOLD_SECONDS = 900
TENFOLD_DRIFT = 0.2
WITHIN = 2
"""Reports after the canaries' fifteenth error in which a tenfold rate has to be found."""


def tenfold(sigma: float, drift: float, rollouts: int, seed: int) -> dict[str, Any]:
    """How often a tenfold rate is found within two reports of the fifteenth error."""
    found = []
    for part, size in enumerate(sizes(rollouts)):
        random = np.random.default_rng([seed, 1000 + round(10 * sigma), round(10 * drift), part])
        found.append(first_minutes(World(rate=ERRORS, sigma=sigma, drift=drift, effect=10.0), size, TENFOLD_SECONDS, random))
    late, undone = np.concatenate([each.reports for each in found]), np.concatenate([each.undone for each in found])
    return {
        "name": "errors × 10",
        "sigma": sigma,
        "drift": drift,
        "rollouts": rollouts,
        "withinTwoReports": round(float(np.mean(late <= WITHIN)), 4),
        "found": round(float(np.isfinite(undone).mean()), 4),
        "medianSeconds": float(np.median(undone)),
        "reports95": float(np.quantile(late, 0.95)),
    }


POWERS = (0.5, 0.8, 0.9, 0.97)


def fixed_events(power: float, effect: float = 2.0) -> int:
    """The fewest events of both cohorts with which the best test of a fixed size finds the effect with this power.

    It is the uniformly most powerful test of "the ratio is at most the margin" at the level of one guardrail, without any other guarantee
    and for one look.
    """
    part = CANARIES / NODES
    level = LEVELS.false_rollback / LEVELS.guardrails
    margin, true = (ratio * part / (1 + part * (ratio - 1)) for ratio in (TEST.margin, effect))
    n = np.arange(50, 5000)
    least = stats.binom.isf(level, n, margin) + 1
    reached = stats.binom.sf(least - 1, n, true) >= power
    return int(n[np.flatnonzero(~reached)[-1] + 1])
