"""Rollout: the spec, which a person or Git writes, and the status. An undo changes the status, never the spec."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema

from bramble.api.objects import AGE, Column, Kind, KindStatus, Reference, condition_column
from bramble.api.schema import (
    ATOMIC,
    INT_OR_STRING,
    VALIDATIONS,
    Decimal,
    Duration,
    PositiveDuration,
    Rule,
    Share,
    SpecPart,
    StatusPart,
    computed,
    exactly_one,
    immutable,
    quoted,
)
from bramble.contracts.base import OneOf
from bramble.guardrails.base import Metric
from bramble.guardrails.catalogue import ALWAYS, IN_A_SPEC
from bramble.kube.resources import ROLLOUT

DEFAULT_RATIO = "1.5"
DEFAULT_EVENTS = 400
DEFAULT_NODES = 1
"""What a guardrail that leaves `maxRatio`, `minEvents` or `minNodes` out is judged with."""

NODES_RULE = computed(
    "type(self) == int ? self >= 1 : self.matches('^([1-9][0-9]?|100)%$')",
    'a number of nodes (1 or more) or a share such as "10%%" is wanted here; this is %s',
    "self",
)
NodeCount = Annotated[
    int | str,
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], INT_OR_STRING: True, "maxLength": 4, VALIDATIONS: [NODES_RULE.as_json()]}
    ),
]


class Pause(SpecPart):
    """A step that waits for a person to request `resume`, `skip`, `promote` or `abort` (annotation `bramble.dev/request`)."""


class Step(SpecPart):
    """Either a number of nodes and how long to watch them, or a pause."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        exactly_one("nodes", "pause"),
        Rule("has(self.nodes) == has(self.bake)", "a step with nodes says how long to watch them, such as bake: 10m; a pause has no bake"),
    )

    nodes: NodeCount | None = None
    """How many nodes have the candidate in this step, with those of the step before, which keep it: a number, or a share such as 10%. A
    share is counted from the nodes that have the candidate or may take it, and rounded up; 100% is every node of the fleet."""
    bake: Duration | None = None
    """How long the candidate is watched at least before the step ends. The analysis may take longer."""
    pause: Pause | None = None
    """`pause: {}` makes this step wait for a person."""


class Canary(SpecPart):
    """The candidate goes to a few nodes first, and is compared with the nodes that serve the stable version at the same time."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.steps[self.steps.size() - 1].nodes) && self.steps[self.steps.size() - 1].nodes == '100%'",
            "the last step must be the whole fleet, so that every node ends on one version: add {nodes: 100%, bake: 30m}",
        ),
        Rule(
            "self.steps.map(s, has(s.nodes) && type(s.nodes) == int, int(s.nodes)).isSorted()"
            " && self.steps.map(s, has(s.nodes) && type(s.nodes) == string, int(s.nodes.replace('%', ''))).isSorted()"
            " && self.steps.map(s, has(s.nodes), s.nodes == '100%').isSorted()",
            "the steps go down: a step keeps the nodes of the step before, so write each at least as large as the one before it",
        ),
    )

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=20), ATOMIC]
    """The steps in order. The last one is the whole fleet."""


class Strategy(SpecPart):
    """How a new version takes over."""

    RULES: ClassVar[tuple[Rule, ...]] = (exactly_one("canary"),)

    canary: Canary | None = None
    """It goes to more nodes step by step, and is analysed in each step."""


METRIC_NAMES = tuple(metric.name for metric in IN_A_SPEC)
MetricName = Annotated[str, OneOf(METRIC_NAMES)]


def _described(metrics: tuple[Metric, ...]) -> str:
    """What each metric measures, as sentences."""
    return " ".join(f"`{metric.name}`: {metric.description}." for metric in metrics)


def _needing(field: str) -> str:
    """The metrics that need a field, as a phrase."""
    return " and ".join(metric.name for metric in IN_A_SPEC if field in metric.fields)


def _events() -> str:
    """What one event is, by metric, as a sentence."""
    kinds = dict.fromkeys(metric.event for metric in IN_A_SPEC)
    phrases = (f"{kind} for {', '.join(metric.name for metric in IN_A_SPEC if metric.event == kind)}" for kind in kinds)
    return f"Events are {'; '.join(phrases)}."


def _set_where_needed(field: str, example: str) -> Rule:
    """The field is set if the metric needs it, and only then."""
    names = ", ".join(quoted(metric.name) for metric in IN_A_SPEC if field in metric.fields)
    return Rule(
        f"has(self.{field}) == (self.metric in [{names}])",
        f"metric: {_needing(field)} needs a {field}, such as {example}; no other metric has one",
    )


class Guardrail(SpecPart):
    """A bound on one metric of the candidate.

    A candidate whose rate is above the margin is undone. A rate that is shown to be within the margin, or to be at most the ceiling,
    passes. As long as neither is shown, the step waits.
    """

    RULES: ClassVar[tuple[Rule, ...]] = (_set_where_needed("quantile", '"0.99"'),)

    metric: MetricName = Field(description=_described(IN_A_SPEC))
    quantile: Share | None = Field(None, description=f"For {_needing('quantile')}: which quantile of the stable version to compare with.")
    max_ratio: Decimal | None = Field(
        None, description=f"The margin: how many times the stable cohort's rate the candidate's may be; \"{DEFAULT_RATIO}\" when unset."
    )
    ceiling: Share | None = None
    """An absolute rate that passes whatever the stable cohort's rate is. Unset means that only the margin decides."""
    min_events: Annotated[int, Field(ge=1)] | None = Field(
        None, description=f"How many events a cohort must have before it is compared; {DEFAULT_EVENTS} when unset. {_events()}"
    )
    min_nodes: Annotated[int, Field(ge=1)] | None = Field(
        None, description=f"On how many candidate nodes there must be any event; {DEFAULT_NODES} when unset."
    )


class Analysis(SpecPart):
    """How a candidate is judged."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.guardrails) || self.guardrails.all(one, self.guardrails.exists_one(other, other == one))",
            "guardrails: one is listed twice with the same fields; remove one of the two",
        ),
    )

    deadline: PositiveDuration = "72h"
    """How long one step may stay undecided, counted from when it begins to be watched, as `bake` is."""
    on_undecided: Literal["Pause", "Abort", "Promote"] = "Pause"
    """What happens then."""
    guardrails: Annotated[tuple[Guardrail, ...], Field(max_length=16), ATOMIC] = Field(
        (),
        description=f"Each can undo the candidate; all must pass for a step to end. Always judged too: {_described(ALWAYS)}",
    )


class Spec(SpecPart):
    """Which version, on which fleet, and how a new one takes over."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        immutable(("fleetRef",), (), "make another Rollout for the other fleet; deleting this one withdraws the model from its fleet"),
    )

    fleet_ref: Reference
    """The Fleet; its `allowedNamespaces` must list this namespace."""
    model_version_ref: Reference
    """The version to roll out. Change it to roll out another version of the same model. To change it back while that one is tried undoes it
    at once; after the promotion the version before is rolled out again step by step."""
    strategy: Strategy
    """How a new version takes over."""
    analysis: Analysis = Analysis()
    """How a candidate is judged."""


class Release(StatusPart):
    """A version that this Rollout assigns to nodes."""

    ref: str = ""
    """Name of the ModelVersion."""
    uid: str = ""
    """Uid of the ModelVersion."""
    model: str = ""
    """The model that it is a version of."""
    version: str = ""
    """The version."""
    packages: dict[str, str] = Field(default_factory=dict)
    """Board to digest of the package that its nodes serve."""


class NodesSeen(StatusPart):
    """How many nodes serve which version, by their own reports."""

    eligible: int = 0
    """Number of nodes that may take the candidate: they answer, serve the stable version and have room. A step's share is counted from
    these and from the nodes that have the candidate already."""
    stable: int = 0
    """Number of nodes verified on the stable version."""
    candidate: int = 0
    """Number of nodes verified on the candidate."""
    unreachable: Annotated[tuple[str, ...], ATOMIC] = ()
    """Names of nodes that do not answer, at most 50."""


class Undone(StatusPart):
    """A candidate that was taken back. It is not tried again until somebody requests `retry`, or until the spec names another version."""

    ref: str = ""
    """Name of its ModelVersion."""
    uid: str = ""
    """Uid of its ModelVersion."""
    attempt: int = 0
    """The attempt in which it was tried."""
    reason: str = ""
    """Why: GuardrailFailed, Refused, Requested, Undecided or Lost."""
    message: str = ""
    """What was seen, with the numbers."""
    at: str = ""
    """When that was decided, in RFC 3339."""


class Moment(StatusPart):
    """Something that was decided about an attempt."""

    at: str = ""
    """When, in RFC 3339."""
    reason: str = ""
    """The reason of `Ready` from then on."""
    message: str = ""
    """What was decided, and why."""


OPEN_OBJECT = WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})


NAMES_KEPT = 50
"""The most nodes that one field of the status names."""


class Status(KindStatus):
    """What the fleet serves, what is being tried, and how far that has come."""

    MEMORY: ClassVar[frozenset[str]] = frozenset(
        {
            "attempt",
            "seq",
            "stable",
            "candidate",
            "lastGood",
            "history",
            "seed",
            "step",
            "waitingSince",
            "stepStartedAt",
            "watched",
            "passedOver",
            "departed",
            "baseline",
            "undone",
            "decision",
            "lastRequest",
        }
    )

    attempt: int = 0
    """Number of the present or last attempt; each candidate is an attempt. Memory."""
    seq: int = 0
    """The number of the last assignment that was written. It only grows, so that devices ignore an older one. Memory."""
    stable: Release | None = None
    """The version that the fleet serves. Memory."""
    candidate: Release | None = None
    """The version that is being tried. Memory."""
    last_good: Release | None = None
    """The stable version before this one. Memory."""
    history: Annotated[tuple[Release, ...], ATOMIC] = ()
    """The versions that this Rollout has promoted, the last one first, at most 10. The request `undo` goes back to one of them. Memory."""
    seed: str = ""
    """The seed that decides which nodes go first in this attempt. Memory."""
    step: int = 0
    """Index of the present step, counted from 0. Memory."""
    waiting_since: str = ""
    """Since when the present step has waited for its nodes or, if it is a pause, for a person, in RFC 3339; without a candidate, since when
    nodes are awaited on the stable version. Memory."""
    step_started_at: str = ""
    """Since when the step's nodes have served the candidate and are watched, in RFC 3339. Memory."""
    watched: int = 0
    """How many nodes served the candidate then. Memory."""
    passed_over: dict[str, str] = Field(default_factory=dict)
    """Nodes that did not take the candidate in time, and since when, in RFC 3339, the step goes on without them; at most 50. Memory."""
    departed: Annotated[tuple[str, ...], ATOMIC] = ()
    """Nodes that had taken the candidate of this attempt when their Node was deleted or left the fleet; at most 50. They are lost when they
    fall silent. Memory."""
    baseline: Annotated[dict[str, Any] | None, OPEN_OBJECT] = None
    """The stable cohort's counters when the last step began, since no node is left to compare with: `counts`, `histograms`, `nodes`,
    `members` and `lost`. Memory."""
    undone: Undone | None = None
    """The candidate that was taken back, as long as the spec names it. Memory."""
    decision: Annotated[dict[str, Any] | None, OPEN_OBJECT] = None
    """The last decision with its evidence: `action` (NextStep, Promote or Undo), `reason`, `message`, `at`, `attempt`, `step`, `stable` and
    `candidate` (names of ModelVersions), `rules` (the guardrails with every default filled in), `candidateCounters` and `stableCounters`
    (as `baseline`), `judgement` (`verdict` and `guardrails`, as in `analysis`), and `nodes` (what each node with the candidate last said).
    A copy is filed in the store. Memory."""
    decision_filed: bool = False
    """Whether the copy of the decision is in the store."""
    timeline: Annotated[tuple[Moment, ...], ATOMIC] = ()
    """What was decided about the present or last attempt, the last 30 decisions."""
    nodes: NodesSeen | None = None
    """How many nodes serve which version."""
    analysis: Annotated[dict[str, Any] | None, OPEN_OBJECT] = None
    """The verdict on the version that is being tried, or was tried last: `attempt`, `step`, `verdict` (Pass, Fail or Undecided), and in
    `guardrails` of each metric `metric`, `verdict`, `candidateRate`, `stableRate`, `candidateEvents`, `stableEvents` and `message`."""


KIND = Kind(
    resource=ROLLOUT,
    spec=Spec,
    status=Status,
    description="Keeps a fleet on one version of a model: tries a new version on a few nodes first, compares, and promotes or undoes it.",
    short_names=("bro",),
    columns=(
        Column("Fleet", ".spec.fleetRef.name"),
        Column("Wanted", ".spec.modelVersionRef.name"),
        Column("Stable", ".status.stable.ref"),
        Column("Phase", ".status.phase"),
        condition_column("Ready"),
        condition_column("Ready", "reason", name="Reason"),
        AGE,
        Column("Candidate", ".status.candidate.ref", priority=1),
        Column("On candidate", ".status.nodes.candidate", "integer", priority=1),
        Column("On stable", ".status.nodes.stable", "integer", priority=1),
        condition_column("Ready", "message", priority=1, name="Message"),
    ),
)
