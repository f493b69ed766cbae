"""What an attempt has counted so far, and what the nodes counted before it. Pure.

Devices count without end, and say their sums. What happened between two readings is the difference, taken against the last reading of
each node: an agent that starts again counts from zero, so what it says is all new, and an operator or a gateway that starts again changes
nothing. The differences of one pass are one look of each guardrail's test (`bramble.evidence.ratio`).

The ledger is kept in a ConfigMap (`evidence-…`), apart from the status. They are two writes, and a crash may come between them in either
order. Neither order loses or doubles an event, because a look is always computed from the ledger that is stored and from the devices' sums:

- The ledger is not written: the next pass computes the same looks again, with more events in them.
- The ledger is written, and the status is not: the next pass counts from the new ledger, and comes to the same decision.
- The status names a new attempt, and the ledger is of the one before: the ledger that is computed begins the attempt. The counters of an
  attempt begin at zero, so nothing of it is missed.
- The ledger is lost: it begins at what the devices say then. The evidence until then is collected again, and none is counted twice.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from bramble.contracts.base import ExtensibleDocument
from bramble.contracts.bounds import Finite, Whole
from bramble.contracts.counters import Cohort
from bramble.evidence.cohorts import Former
from bramble.evidence.mixture import POINTS
from bramble.evidence.ratio import RatioTest
from bramble.evidence.rise import GROUPS
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import Away, GrowthLook, Tally
from bramble.guardrails.lost import LOST, MAX_RATIO

Pair = tuple[Annotated[Finite, Field(ge=0)], Annotated[Finite, Field(ge=0)]]
ZERO: Pair = (0.0, 0.0)


class NodeRecord(ExtensibleDocument):
    """One node. Each tuple has one entry for each guardrail of the ledger.

    Attributes:
        cohort: in which cohort the node was when it was last read in this attempt.
        instance: which process of the agent was read, shortened; empty before the first reading of the attempt.
        former: the process before. A late report of it is not counted again.
        at: when it was last read, in seconds since 1970.
        counted: bad events and events, as last read.
        other_instance, other: the process that was read last in the other cohort in this attempt, and what it had counted there.
        sums: bad events and events of this attempt, in the present cohort.
        since: for a node that got the candidate after the attempt began, what `Guard.compared` was at that moment.
        history: bad events and events while the node served the stable version, halved every day.
        baseline: expected bad events per event and how uncertain that is (`bramble.evidence.baselines`), frozen when the attempt began.
        before: events of the history when the attempt began (`looks.in_half_octaves`).
        own: expected bad events per event by each test of the watch, frozen when the test began; 0 before that.
        group: to which group of the watch the node belongs.
    """

    cohort: Cohort = "stable"
    instance: str = ""
    former: str = ""
    at: Whole = 0
    counted: tuple[Pair, ...] = ()
    other_instance: str = ""
    other: tuple[Pair, ...] = ()
    sums: tuple[Pair, ...] = ()
    since: tuple[Pair, ...] = ()
    history: tuple[Pair, ...] = ()
    baseline: tuple[Pair, ...] = ()
    before: tuple[Annotated[Whole, Field(le=200)], ...] = ()
    own: tuple[Annotated[Finite, Field(ge=0)], ...] = ()
    group: Annotated[Whole, Field(lt=GROUPS)] = 0


class Frozen(ExtensibleDocument):
    """The stable version's history when no node was left to compare with, as far as it is not used up.

    The candidate is compared with as much of it at a time as the candidate answers itself: first with what the nodes counted before the
    attempt, and when that is used up with what was compared in the attempt's earlier steps already.

    Attributes:
        bad: bad events that are left.
        weight: events that are left, each times its node's expected rate.
        again: the same of the attempt's earlier steps, which comes next; zero once it is begun.
        whole, whole_weight: what there was at the beginning.
        drift, variance: of the stable nodes' last numbers (`bramble.evidence.cohorts.Former`); no drift in what former operators wrote.
    """

    bad: Annotated[Finite, Field(ge=0)]
    weight: Annotated[Finite, Field(ge=0)]
    whole: Tally
    whole_weight: Annotated[Finite, Field(ge=0)]
    drift: Annotated[Finite, Field(ge=0)] | None = None
    variance: Annotated[Finite, Field(ge=0)] = 0.0
    again: Pair = ZERO

    @property
    def former(self) -> Former | None:
        """The stable cohort that was compared before."""
        return Former(self.drift, self.variance) if self.drift is not None else None


class Guard(ExtensibleDocument):
    """One guardrail of the ledger.

    Attributes:
        metric, quantile, label, max_ratio: of its rule. Evidence belongs to a guardrail with the same four.
        edge: index of the last bucket of durations that is not slow; None for other metrics, and until the stable quantile is known.
        ratio: as in `GuardEvidence`.
        better: the same of the test whether the candidate is better. It is kept for every guardrail, since a spec may ask for it later.
        candidate, stable: bad events and events of this attempt.
        weights: events of the candidate and of the stable cohort, each times its node's expected rate.
        compared_bad: bad events of the stable nodes that are compared; None in what former operators wrote.
        recent: what of the nodes' histories is of this attempt: bad events, and events times the expected rates, halved every day.
        newcomer: the baseline of a node without history.
        frozen: what is left to compare with in the last step; None before it.
    """

    metric: str
    quantile: float | None = None
    label: str | None = None
    max_ratio: float
    edge: Whole | None = None
    ratio: tuple[Finite, ...] = ()
    better: tuple[Finite, ...] = ()
    candidate: Pair = ZERO
    stable: Pair = ZERO
    weights: Pair = ZERO
    compared_bad: Annotated[Finite, Field(ge=0)] | None = None
    recent: Pair = ZERO
    newcomer: Pair = (1.0, 1.0)
    frozen: Frozen | None = None

    @property
    def identity(self) -> tuple[str, float | None, str | None, float]:
        """What makes it the same guardrail as one of a spec."""
        return self.metric, self.quantile, self.label, self.max_ratio

    @property
    def test(self) -> RatioTest:
        """Its test."""
        return RatioTest(self.max_ratio)

    @property
    def compared(self) -> Pair:
        """What single canaries are compared with: bad events and weighted events of the stable nodes that are compared."""
        return (self.stable[0] if self.compared_bad is None else self.compared_bad, self.weights[1])


def new_guard(rule: Rule | Guard) -> Guard:
    """The guardrail of a rule, or the same guardrail as another, with nothing counted."""
    return Guard(metric=rule.metric, quantile=rule.quantile, label=rule.label, max_ratio=rule.max_ratio)


class NodeLosses(ExtensibleDocument):
    """How a node fell silent. Pairs are losses, each with its weight, and minutes in which the node was watched.

    Attributes:
        at: when the last loss that was counted began, in seconds since 1970; 0 for none.
        cohort: in which cohort the node was then, or when it fell silent last.
        away: whether it is silent. That is not counted again before it reports.
        times: how many losses of this attempt were counted.
        weight: of the last loss, as long as others may join it at the same moment; then 0.
        candidate, stable: what was counted in this attempt while it was in either cohort.
        history: what was counted of the stable version, halved every day.
        since, baseline: as in `NodeRecord`.
    """

    at: Whole = 0
    cohort: Cohort = "stable"
    away: bool = False
    times: Whole = 0
    weight: Annotated[Finite, Field(ge=0)] = 0.0
    candidate: Pair = ZERO
    stable: Pair = ZERO
    since: Pair = ZERO
    history: Pair = ZERO
    baseline: Pair = (1.0, 1.0)


class OpenMoment(ExtensibleDocument):
    """Losses that began at about the same time. They are not in the test's state yet, since others may still join them.

    Attributes:
        began: when the first of them began, in seconds since 1970.
        share: the candidate's part of all losses at this moment if it were like the stable version.
    """

    began: Whole
    share: Annotated[Finite, Field(ge=0, le=1)]


class LossLedger(ExtensibleDocument):
    """Nodes that fell silent, as the operator counted them (`loss_counting`).

    Attributes:
        guard: the test. Its events are minutes of nodes.
        away: how many nodes are away at once.
    """

    guard: Guard = Guard(metric=LOST.name, max_ratio=MAX_RATIO)
    moment: OpenMoment | None = None
    away: Away = Away()
    nodes: dict[str, NodeLosses] = Field(default_factory=dict)


class GrowthGuard(ExtensibleDocument):
    """One guardrail that compares how something grows.

    Attributes:
        metric, allowed_growth, growth_limit: of its rule. Evidence belongs to a guardrail with the same three.
        looks: those that were taken in this attempt.
        ready_at: since when half of the candidate's nodes can take part in the next one, in seconds since 1970; 0 while they cannot.
    """

    metric: str
    allowed_growth: Finite
    growth_limit: Finite | None = None
    looks: Annotated[tuple[GrowthLook, ...], Field(max_length=16)] = ()
    ready_at: Whole = 0

    @property
    def identity(self) -> tuple[str, float, float | None]:
        """What makes it the same guardrail as one of a spec."""
        return self.metric, self.allowed_growth, self.growth_limit


class Sums(ExtensibleDocument):
    """One test of a promoted version, as `bramble.evidence.rise` computes it.

    Attributes:
        began: when, in seconds since 1970.
        hours: in how many hours a test has begun.
        logs: its sums by group, one group after the other.
    """

    began: Whole
    hours: Whole = 1
    logs: Annotated[tuple[Finite, ...], Field(min_length=GROUPS * POINTS, max_length=GROUPS * POINTS)]


class Watch(ExtensibleDocument):
    """What is known of a promoted version by one guardrail that watches it.

    Attributes:
        metric, quantile, label, max_ratio, allowed, limit, absolute, min_events, edge: as the rule, the metric and the ledger's guardrail
            have them. When one of them changes, another watch begins, but for `min_events`. Former operators did not write `absolute` and
            `min_events`.
        began: in seconds since 1970.
        margin, mean, baseline: what is tested, the rate that is expected of a node without history, and what the version had counted by
            itself when the comparison with that began; a margin of None while it has counted too little.
        own_test, allowed_test, limit_test: the tests; None where there is no such rate.
        hours: for how many hours it watches; the last one counts as begun.
        recent, former: bad events and events of this hour, and of the one before.
        counted: the same of the whole time.
    """

    metric: str
    quantile: float | None = None
    label: str | None = None
    max_ratio: float
    allowed: float | None = None
    limit: float | None = None
    absolute: bool | None = None
    min_events: Whole | None = None
    edge: Whole | None = None
    began: Whole
    margin: Finite | None = None
    mean: Annotated[Finite, Field(ge=0)] = 0.0
    baseline: Tally = Tally()
    own_test: Sums | None = None
    allowed_test: Sums | None = None
    limit_test: Sums | None = None
    hours: Whole = 1
    recent: Pair = ZERO
    former: Pair = ZERO
    counted: Pair = ZERO

    @property
    def guard(self) -> tuple[str, float | None, str | None, float]:
        """Which guardrail of the ledger counts for it."""
        return self.metric, self.quantile, self.label, self.max_ratio

    @property
    def rule(self) -> tuple[object, ...]:
        """What makes it the watch of a rule."""
        return *self.guard, self.allowed, self.limit, self.absolute, self.min_events

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes it the same watch as before."""
        return *self.rule, self.edge


class Ledger(ExtensibleDocument):
    """The evidence of a Rollout.

    Attributes:
        at, began: when it was computed, and when the attempt began in it, in seconds since 1970.
        step: the step in which it was computed.
        stable, candidate: uids of the versions; empty without one.
        losses: nodes that fell silent.
        growth: the guardrails that compare growth.
        promoted: which promotion is watched; empty where none is.
        watches: by guardrail.
        forgotten: whether what the nodes counted before was left out when it was last written, because it would not fit.
        part: which part of the nodes is counted in this attempt, because more would not fit.
    """

    schema_: Literal["bramble.dev/evidence/v1"] = Field("bramble.dev/evidence/v1", alias="schema")
    rollout_uid: str
    attempt: Whole
    step: Whole = 0
    stable: str = ""
    candidate: str = ""
    at: Whole
    began: Whole
    losses: LossLedger = LossLedger()
    guards: Annotated[tuple[Guard, ...], Field(max_length=32)] = ()
    growth: Annotated[tuple[GrowthGuard, ...], Field(max_length=16)] = ()
    promoted: str = ""
    watches: Annotated[tuple[Watch, ...], Field(max_length=16)] = ()
    forgotten: bool = False
    part: Annotated[Finite, Field(gt=0, le=1)] = 1.0
    nodes: dict[str, NodeRecord] = Field(default_factory=dict)

    def guard(self, rule: Rule) -> int | None:
        """The index of a rule's guardrail; None where the ledger does not have it."""
        wanted = new_guard(rule).identity
        return next((index for index, guard in enumerate(self.guards) if guard.identity == wanted), None)

    def is_counted(self, node: str) -> bool:
        """Whether a node is among those that are counted in this attempt: the first ones by a hash. A smaller part is a part of these."""
        if self.part >= 1:
            return True
        drawn = hashlib.sha256(f"{self.rollout_uid}/{self.attempt}/{node}".encode()).digest()
        return int.from_bytes(drawn[:4]) < self.part * 2**32
