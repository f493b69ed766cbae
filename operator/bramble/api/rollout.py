"""Rollout: the spec, which a person or Git writes, and the status. An undo changes the status, never the spec."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, WithJsonSchema

from bramble.api.guardrail import Guardrail, described
from bramble.api.objects import AGE, Column, Kind, KindStatus, Reference, condition_column
from bramble.api.schema import (
    ATOMIC,
    DURATION,
    INT_OR_STRING,
    VALIDATIONS,
    Duration,
    PatternMessage,
    PositiveDuration,
    Rule,
    Share,
    SpecPart,
    StatusPart,
    Validated,
    computed,
    exactly_one,
    immutable,
    quoted,
)
from bramble.guardrails.base import CountedMetric
from bramble.guardrails.catalogue import ALWAYS, IN_A_SPEC
from bramble.kube.resources import ROLLOUT

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


def _another_reason() -> Rule:
    """A metric that is never the only reason to promote has one beside it that passes by what it has counted."""
    names = [metric.name for metric in IN_A_SPEC if not metric.promotes]
    counted = [metric.name for metric in IN_A_SPEC if metric.promotes and isinstance(metric, CountedMetric)]
    return Rule(
        f"!has(self.guardrails) || !self.guardrails.exists(one, one.metric in [{', '.join(map(quoted, names))}])"
        f" || self.guardrails.exists(one, one.metric in [{', '.join(map(quoted, counted))}])",
        f"guardrails: {' and '.join(names)} can undo a version, and is never the only reason to promote one, since people choose what they"
        " speak up about; add another metric, such as errors",
    )


def _error_rate(field: str) -> Rule:
    """An error rate is above 0, which no evidence reaches, and at most a half."""
    return Rule(
        f"!has(self.{field}) || (double(self.{field}) > 0.0 && double(self.{field}) <= 0.5)",
        f'{field}: no amount of evidence is free of error, and a coin errs half of the time; write a rate such as "0.01", up to "0.5"',
    )


WATCHED = ", ".join(quoted(metric.name) for metric in IN_A_SPEC if isinstance(metric, CountedMetric))
"""The metrics by which a promoted version can be watched. The others compare nodes of the same time, which all have one version then."""


class Watch(SpecPart):
    """A version that was promoted is compared with what it did when it was tried, and undone to the version before once it is shown to be
    worse. It pauses while another version is tried.
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.guardrails) || self.guardrails.all(g, !has(g.better) && !has(g.minNodes))",
            "watch.guardrails: better and minNodes say when a version may be promoted; a watch only undoes, so leave them out",
        ),
        Rule(
            f"!has(self.guardrails) || self.guardrails.all(g, g.metric in [{WATCHED}])",
            "watch.guardrails: memory compares nodes of the same time, and after a promotion all have one version; leave it out",
        ),
        Rule(
            "!has(self.guardrails) || self.guardrails.all(one, self.guardrails.exists_one(other, other == one))",
            "watch.guardrails: one is listed twice with the same fields; remove one of the two",
        ),
    )

    for_: Annotated[
        str,
        StringConstraints(pattern=rf"^always$|{DURATION}", max_length=32),
        PatternMessage("must be always or a duration, such as 24h"),
        Validated(
            computed(
                "self == 'always' || self.matches('[1-9]')", 'must be always or longer than nothing, such as 24h; this is "%s"', "self"
            )
        ),
    ] = Field(alias="for")
    """For how long after the promotion: a duration such as 24h, or `always`. Time in which another version is tried is part of it."""
    guardrails: Annotated[tuple[Guardrail, ...], Field(max_length=16), ATOMIC] = ()
    """What it is watched by; those of the analysis when none is listed. `maxRatio` bounds its rate as a multiple of its own rate before, a
    rate below `ceiling` never undoes it, and a rate above `limit` does. `minEvents` is how many events its own rate is known from."""


class Analysis(SpecPart):
    """How a candidate is judged."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.guardrails) || self.guardrails.all(one, self.guardrails.exists_one(other, other == one))",
            "guardrails: one is listed twice with the same fields; remove one of the two",
        ),
        _another_reason(),
        computed(
            "!has(self.deadline) || !has(self.guardrails) || !self.guardrails.exists(g, g.metric == 'memory')"
            " || duration(self.deadline) >= duration('75m')",
            'deadline: memory is looked at after 75 minutes for the first time, so with "%s" it could never be decided; write 75m or more,'
            " such as 24h, or leave memory out",
            "self.deadline",
        ),
        _error_rate("falseRollbackRate"),
        _error_rate("falsePromotionRate"),
        Rule(
            "!has(self.watch) || (has(self.watch.guardrails) && self.watch.guardrails.size() > 0)"
            f" || (has(self.guardrails) && self.guardrails.exists(g, g.metric in [{WATCHED}]))",
            "watch: there is nothing to watch; list guardrails in the watch or in the analysis",
        ),
    )

    deadline: PositiveDuration = "72h"
    """How long one step may stay undecided, counted from when it begins to be watched, as `bake` is."""
    on_undecided: Literal["Pause", "Abort", "Promote"] = "Pause"
    """What happens then."""
    false_rollback_rate: Share = "0.01"
    """How probable it may be at most that an unchanged version, whose rates are within every limit, is undone by its guardrails, in a whole
    attempt and however often it is looked at. Where nodes do not drift it holds for every version within its margins and limits. A watch
    after the promotion has the same probability once more, for as long as it lasts."""
    false_promotion_rate: Share = "0.05"
    """How probable it may be at most that a guardrail passes though the candidate's rate is at the margin and above the ceiling."""
    guardrails: Annotated[tuple[Guardrail, ...], Field(max_length=16), ATOMIC] = Field(
        (),
        description=f"Each can undo the candidate; all must pass for a step to end. Always judged too: {described(ALWAYS)}",
    )
    watch: Watch | None = None
    """Goes on watching a version after its promotion. Unset means that nothing is judged then."""


class Spec(SpecPart):
    """Which version, on which fleet, and how a new one takes over."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.strategy.canary) || !has(self.analysis) || !has(self.analysis.guardrails) || self.analysis.guardrails.all(g,"
            " !has(g.minNodes) || self.strategy.canary.steps.all(s,"
            " !has(s.nodes) || type(s.nodes) != int || int(s.nodes) >= g.minNodes))",
            "analysis.guardrails: minNodes is more than a step has nodes, so it could never end; lower it, or give the step more nodes",
        ),
        computed(
            "!has(self.strategy.canary) || !has(self.analysis.deadline) || self.strategy.canary.steps.all(s,"
            " !has(s.bake) || duration(s.bake) <= duration(self.analysis.deadline))",
            'analysis.deadline: "%s" is over before the bake of a step is, which is part of it, so nothing could be decided any more;'
            " write a deadline that is longer than each bake",
            "self.analysis.deadline",
        ),
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
    """Why: GuardrailFailed, Refused, Requested, Undecided, Lost or WatchFailed."""
    message: str = ""
    """What was seen, with the numbers."""
    at: str = ""
    """When that was decided, in RFC 3339."""


class Begun(StatusPart):
    """A step as it began. It keeps its number of nodes when the spec's steps change, so that only the end of a step, or a request, gives
    the candidate to more of them.
    """

    nodes: str = ""
    """How many nodes have the candidate in it, as the spec said it: a number or a share."""
    bake: str = ""
    """For how long it is watched at least; empty for a pause."""
    paused: bool = False
    """Whether it is a pause."""
    alike: int | None = None
    """How many steps before it were like it, as the first of two pauses in a row is; not known of a step that an earlier release began."""


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
            "seqRaisedAt",
            "stable",
            "candidate",
            "lastGood",
            "history",
            "promotedAt",
            "distrusted",
            "seed",
            "step",
            "begun",
            "waitingSince",
            "stepStartedAt",
            "watched",
            "passedOver",
            "departed",
            "undone",
            "decision",
            "lastRequest",
        }
    )

    attempt: int = 0
    """Number of the present or last attempt; each candidate is an attempt. Memory."""
    seq: int = 0
    """The number of the last assignment that was written. It only grows, so that devices ignore an older one. Memory."""
    seq_raised_at: str = ""
    """When the same assignment was last written again because a device reported a higher number, in RFC 3339. Memory."""
    stable: Release | None = None
    """The version that the fleet serves. Memory."""
    candidate: Release | None = None
    """The version that is being tried. Memory."""
    last_good: Release | None = None
    """The stable version before this one. Memory."""
    history: Annotated[tuple[Release, ...], ATOMIC] = ()
    """The versions that this Rollout has promoted, the last one first, at most 10. The request `undo` goes back to one of them. Memory."""
    promoted_at: str = ""
    """When an attempt promoted the stable version, in RFC 3339. Empty where the fleet has gone back to it. Memory."""
    distrusted: Annotated[tuple[str, ...], ATOMIC] = ()
    """Uids of versions that were undone after their promotion, at most 10. No watch goes back to one of them. Memory."""
    seed: str = ""
    """The seed that decides which nodes go first in this attempt. Memory."""
    step: int = 0
    """Number of the present step, counted from 0: its index in the spec, as long as the spec's steps have not changed since the attempt
    began. Memory."""
    begun: Begun | None = None
    """The present step as it began. It goes on like that where the spec's steps change. Memory."""
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
    undone: Undone | None = None
    """The candidate that was taken back, as long as the spec names it. Memory."""
    decision: Annotated[dict[str, Any] | None, OPEN_OBJECT] = None
    """The last decision with its evidence: `action` (NextStep, Promote or Undo), `reason`, `message`, `at`, `attempt`, `step`, `stable` and
    `candidate` (names of ModelVersions), `rules` (the guardrails with every default filled in), `evidence` (about each of them), `rates`
    (the error rates), `judgement` (`verdict` and `guardrails`, as in `analysis`), `nodes` (what each node with the candidate last
    said), and `mistakes` (of an undo: which classes were answered for which). A copy is filed in the store. Memory."""
    decision_filed: bool = False
    """Whether the copy of the decision is in the store."""
    elapsed: dict[str, int] = Field(default_factory=dict)
    """How many seconds ago it was, as the operators that led since then measured it, that the step began to wait for its nodes or to be
    watched (`stepStartedAt`, else `waitingSince`), that it last went on without a node, and that the Rollout was deleted. The times
    themselves are those of clocks that may have been wrong. A minute and more is noted."""
    timeline: Annotated[tuple[Moment, ...], ATOMIC] = ()
    """What was decided about the present or last attempt, the last 30 decisions, or fewer where the status would be too large."""
    nodes: NodesSeen | None = None
    """How many nodes serve which version."""
    analysis: Annotated[dict[str, Any] | None, OPEN_OBJECT] = None
    """The verdict on the version that is being tried, or was tried last: `attempt`, `step`, `verdict` (Pass, Fail or Undecided), and in
    `guardrails` of each metric `metric`, `label` (of metrics of one class), `verdict`, `candidateRate`, `stableRate`, `candidateEvents`,
    `stableEvents`, `candidateNodes`, `stableNodes`, `candidateDeviation` and `stableDeviation` (standard deviation of the rates of single
    nodes, where there are two), `toFail` and `toPass` (how far the evidence has come on the way to either, from 0 to 1), `drift` (by how
    much the rates of stable nodes changed by themselves since the attempt began; 0.2 is 20 %), and `message`, which says how much is
    still needed."""
    watch: Annotated[dict[str, Any] | None, OPEN_OBJECT] = None
    """The watch of the stable version: `version`, `state` (Watching, Paused while another version is tried, or Over), `since`, `until` (a
    time, or always), and in `guardrails` of each metric what `analysis` has; the candidate is what the version did in the last one to two
    hours, and the stable cohort what it did when it was tried. Unset without a watch."""


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
        Column("Watched until", ".status.watch.until", priority=1),
        condition_column("Ready", "message", priority=1, name="Message"),
    ),
)
