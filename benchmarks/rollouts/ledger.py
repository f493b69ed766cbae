"""One simulated rollout as the operator decides it: its own ledger, evidence and judgement (`bramble.kinds.rollout`).

Each node's agent says its sums, by boot and process, as devices do. A restarted agent counts from zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.rollouts.worlds import LOOK, LOOKS, NODES, Counts, Small, World
from bramble.contracts.counters import Cohort, Counted
from bramble.guardrails.base import Rule
from bramble.guardrails.catalogue import counted_metric
from bramble.kinds.rollout.analysis import ErrorRates, Judgement, judge
from bramble.kinds.rollout.counting import advance
from bramble.kinds.rollout.counts import evidence_of
from bramble.kinds.rollout.ledger import Ledger
from bramble.kinds.rollout.reading import Line, Reading

START = datetime(2026, 12, 1, tzinfo=UTC)
NAMES = tuple(f"node-{number:03}" for number in range(NODES))
RATES = ErrorRates(false_rollback=0.01, false_promotion=0.05)
NOBODY_COUNTS = Rule(metric="latency", quantile=0.99, max_ratio=1.5, min_events=1, min_nodes=1)
"""A second guardrail, so that α is divided as in `trials.LEVELS`. No device counts anything for it."""


class Day(NamedTuple):
    """What one rollout's nodes counted, for a day or less.

    Attributes:
        before: bad events and events of each node before, [2, nodes].
        bad, events: at each look, [looks, nodes].
        restarted: as in `Block`, [looks, nodes].
    """

    before: Counts
    bad: Small
    events: Small
    restarted: NDArray[np.bool_]


class Agent:
    """What one node's agent has counted in each cohort, and how it says so."""

    def __init__(self, metric: str) -> None:
        """Nothing yet."""
        self._metric, self._process = metric, 0
        self._counted: dict[Cohort, tuple[int, int]] = {}

    def restart(self) -> None:
        """Another process. Only crashes are kept on the disk."""
        self._process += 1
        kept = counted_metric(self._metric).kept_on_disk
        self._counted = {cohort: (bad, 0) for cohort, (bad, _) in self._counted.items()} if kept else {}

    def count(self, cohort: Cohort, bad: int, events: int) -> None:
        """So much more."""
        before = self._counted.get(cohort, (0, 0))
        self._counted[cohort] = (before[0] + bad, before[1] + events)

    def line(self, cohort: Cohort) -> Line | None:
        """What it reports; None as long as it has counted nothing in this cohort."""
        found = self._counted.get(cohort)
        return Line(f"boot/{self._process}", said(self._metric, *found)) if found is not None else None


def said(metric: str, bad: int, events: int) -> Counted:
    """The counts that a metric reads."""
    match metric:
        case "errors" | "crashes":
            return Counted.model_construct(counts={"requests": events, metric: bad}, histograms={})
        case "accuracy":
            return Counted.model_construct(counts={"right": events - bad, "wrong": bad}, histograms={})
    raise ValueError(f"no rollout is run through the ledger with {metric}")


def judgements(world: World, margin: float, counted: Day) -> Iterator[Judgement]:
    """What the operator judges at each look."""
    for ledger, rules in ledgers(world, margin, counted):
        yield judge(rules, [evidence_of(ledger, rule) for rule in rules], RATES)


def judged_at(world: World, margin: float, counted: Day, look: int) -> Judgement:
    """What the operator judges at one look, counted from 0."""
    for number, (ledger, rules) in enumerate(ledgers(world, margin, counted)):
        if number == look:
            return judge(rules, [evidence_of(ledger, rule) for rule in rules], RATES)
    raise ValueError(f"there is no look {look}")


def ledgers(world: World, margin: float, counted: Day) -> Iterator[tuple[Ledger, tuple[Rule, ...]]]:
    """The ledger after each look, and its rules."""
    rules = (Rule(metric=world.metric, max_ratio=margin, min_events=1, min_nodes=1), NOBODY_COUNTS)
    served = {name: said(world.metric, int(bad), int(events)) for name, bad, events in zip(NAMES, *counted.before.tolist(), strict=True)}
    agents = {name: Agent(world.metric) for name in NAMES}

    def reading(candidates: frozenset[str], lines: dict[str, Line]) -> Reading:
        others = frozenset(NAMES) - candidates
        return Reading("uid", 1, 0, "v1", "v2", rules, candidates, others, lines=lines, served=lambda: served)

    ledger = advance(None, reading(frozenset(), {}), START)
    for look in range(len(counted.bad)):
        candidates = frozenset(np.array(NAMES)[world.candidate(look // LOOKS)].tolist())
        lines = {}
        now = zip(NAMES, counted.bad[look].tolist(), counted.events[look].tolist(), counted.restarted[look].tolist(), strict=True)
        for name, bad, events, restarted in now:
            cohort: Cohort = "candidate" if name in candidates else "stable"
            agent = agents[name]
            if restarted:
                agent.restart()
            if events:
                agent.count(cohort, bad, events)
            if (line := agent.line(cohort)) is not None:
                lines[name] = line
        ledger = advance(ledger, reading(candidates, lines), START + timedelta(seconds=(look + 1) * LOOK))
        yield ledger, rules
