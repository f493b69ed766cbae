"""Rollout: what a person (or Git) writes, and what the operator answers. An undo is status, never a change of the spec."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema

from bramble.api.objects import AGE, Column, Kind, KindStatus, Reference, condition_column
from bramble.api.schema import (
    ATOMIC,
    INT_OR_STRING,
    VALIDATIONS,
    Decimal,
    Described,
    Duration,
    Rule,
    Share,
    StatusPart,
    computed,
    exactly_one,
    fixed,
)
from bramble.kube.resources import ROLLOUT

NODES_RULE = computed(
    "type(self) == int ? self >= 1 : self.matches('^([1-9][0-9]?|100)%$')",
    'a number of nodes (1 or more) or a share of the fleet such as "10%%" is wanted here; this is %s',
    "self",
)
NodeCount = Annotated[
    int | str,
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], INT_OR_STRING: True, "maxLength": 4, VALIDATIONS: [NODES_RULE.as_json()]}
    ),
]


class Pause(Described):
    """Wait for a person: `resume`, `skip`, `promote` or `abort` (annotation `bramble.dev/request`)."""


class Step(Described):
    """Either a share of the fleet and how long to watch it, or a pause."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        exactly_one("nodes", "pause"),
        Rule("has(self.nodes) == has(self.bake)", "a step with nodes says how long to watch them, such as bake: 10m; a pause has no bake"),
    )

    nodes: NodeCount | None = None
    """How many nodes have the candidate in this step: a number, or a share such as 10 %. Every step holds the nodes of the one before."""
    bake: Duration | None = None
    """How long the candidate is watched at least before the next step; analysis may take longer."""
    pause: Pause | None = None
    """`pause: {}` waits for a person."""


class Canary(Described):
    """A few nodes first, compared with the others that run the stable version at the same time."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.steps[self.steps.size() - 1].nodes) && self.steps[self.steps.size() - 1].nodes == '100%'",
            "the last step must be the whole fleet, so that it ends with everybody on one version: add {nodes: 100%, bake: 30m}",
        ),
    )

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=20), ATOMIC]
    """In order; the last one is the whole fleet."""


class Strategy(Described):
    """How a new version takes over."""

    RULES: ClassVar[tuple[Rule, ...]] = (exactly_one("canary"),)

    canary: Canary | None = None
    """Step by step, with analysis."""


class Guardrail(Described):
    """A bound on one metric of the candidate. Above the margin it is undone; shown to be fine it goes on; otherwise it holds."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.quantile) == (self.metric == 'latency')", 'metric: latency needs a quantile, such as "0.99"; nothing else has one'),
    )

    metric: Literal["errors", "latency", "crashes", "accuracy"]
    """`errors`: share of requests answered with an error. `latency`: share of requests slower than maxRatio times the stable
    version's quantile. `crashes`: deaths of the agent a request. `accuracy`: share of mistakes among predictions with feedback."""
    quantile: Share | None = None
    """For latency: which quantile of the stable version is compared with."""
    max_ratio: Decimal | None = None
    """The margin: how many times the stable cohort's rate the candidate's may be; "1.5" when unset."""
    ceiling: Share | None = None
    """An absolute rate that is fine whatever the stable cohort does."""
    min_events: Annotated[int, Field(ge=1)] | None = None
    """Requests (for accuracy: feedback) that the candidate must have had before it is judged; 400 when unset."""
    min_nodes: Annotated[int, Field(ge=1)] | None = None
    """Nodes of the candidate that must have had any; 1 when unset."""


class Analysis(Described):
    """How a candidate is judged. `lost`, a node that fell silent after taking the candidate, is always judged."""

    deadline: Duration = "72h"
    """How long one step may stay undecided."""
    on_undecided: Literal["Pause", "Abort", "Promote"] = "Pause"
    """What happens then."""
    guardrails: Annotated[tuple[Guardrail, ...], Field(max_length=16), ATOMIC] = ()
    """Each of them can undo; all of them must be fine to go on."""


class Spec(Described):
    """Which version, on which fleet, and how a new one takes over."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        fixed(("fleetRef",), (), "make another Rollout for the other fleet; deleting this one withdraws the model from its fleet"),
    )

    fleet_ref: Reference
    """The Fleet; its `allowedNamespaces` must list this namespace."""
    model_version_ref: Reference
    """The version wanted. Change it to roll out another version of the same model; change it back to undo at once."""
    strategy: Strategy
    """How a new version takes over."""
    analysis: Analysis = Analysis()
    """How a candidate is judged."""


class Release(StatusPart):
    """A version as this Rollout runs it."""

    ref: str = ""
    """Name of the ModelVersion."""
    uid: str = ""
    """Its uid."""
    model: str = ""
    """Its model."""
    version: str = ""
    """Its version."""
    packages: dict[str, str] = Field(default_factory=dict)
    """Board to digest of the package."""


class NodesSeen(StatusPart):
    """How many nodes run what, by their own report."""

    eligible: int = 0
    """Nodes that a step's share is counted from."""
    stable: int = 0
    """Verified on the stable version."""
    candidate: int = 0
    """Verified on the candidate."""
    unreachable: Annotated[tuple[str, ...], ATOMIC] = ()
    """Nodes that do not answer, at most 50."""


class Undone(StatusPart):
    """A candidate that was taken back. It is not tried again until `retry`, or until the reference names another version."""

    ref: str = ""
    """Name of its ModelVersion."""
    uid: str = ""
    """Its uid."""
    attempt: int = 0
    """Which attempt it was."""
    reason: str = ""
    """GuardrailFailed, Refused, Requested, Undecided or Lost."""
    message: str = ""
    """What was seen, with the numbers."""
    at: str = ""
    """When it was decided, RFC 3339."""


OPEN_OBJECT = WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})


class Status(KindStatus):
    """How far it has come."""

    MEMORY: ClassVar[frozenset[str]] = frozenset(
        {
            "attempt",
            "seq",
            "stable",
            "candidate",
            "lastGood",
            "seed",
            "step",
            "stepStartedAt",
            "baseline",
            "undone",
            "decision",
            "lastRequest",
        }
    )

    attempt: int = 0
    """Which candidate this is. Memory."""
    seq: int = 0
    """Of the last assignment written; it only grows. Memory."""
    stable: Release | None = None
    """What the fleet runs. Memory."""
    candidate: Release | None = None
    """What is being tried. Memory."""
    last_good: Release | None = None
    """The stable version before this one. Memory."""
    seed: str = ""
    """Decides which nodes go first in this attempt. Memory."""
    step: int = 0
    """Index of the present step. Memory."""
    step_started_at: str = ""
    """Since when every reachable node of the step has been verified, RFC 3339. Memory."""
    baseline: Annotated[dict[str, Any] | None, OPEN_OBJECT] = None
    """The stable cohort's counters, frozen when the last step began, since nobody is left to compare with. Memory."""
    undone: Undone | None = None
    """The candidate that was taken back last, while the reference still names it. Memory."""
    decision: Annotated[dict[str, Any] | None, OPEN_OBJECT] = None
    """The last decision with all that it was made from; a copy is kept in the store. Memory."""
    decision_filed: bool = False
    """Whether the store has the copy."""
    nodes: NodesSeen | None = None
    """Which nodes run what."""
    analysis: Annotated[dict[str, Any] | None, OPEN_OBJECT] = None
    """Each guardrail's figures and verdict."""


KIND = Kind(
    resource=ROLLOUT,
    spec=Spec,
    status=Status,
    description="Keeps a fleet on one version of a model: brings a new one to a few nodes first, compares, goes on or undoes by itself.",
    short_names=("bro",),
    columns=(
        Column("Fleet", ".spec.fleetRef.name"),
        Column("Wanted", ".spec.modelVersionRef.name"),
        Column("Stable", ".status.stable.ref"),
        Column("Phase", ".status.phase"),
        Column("Step", ".status.step", "integer"),
        condition_column("Ready"),
        AGE,
        Column("Candidate", ".status.candidate.ref", priority=1),
        Column("On candidate", ".status.nodes.candidate", "integer", priority=1),
        Column("On stable", ".status.nodes.stable", "integer", priority=1),
        condition_column("Ready", "message", priority=1, name="Message"),
    ),
)
