"""Everything that a Rollout's plan looks at, and what follows from it. Each is computed once in a pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

from bramble.api.objects import Metadata, Object
from bramble.api.rollout import Release, Spec, Status, Step
from bramble.contracts.assignment import Assignment, PackageBlobs
from bramble.contracts.report import CandidateState
from bramble.guardrails.base import CountedMetric, Rule
from bramble.guardrails.catalogue import metric_named
from bramble.guardrails.evidence import GuardEvidence
from bramble.guardrails.growth import GrowthMetric
from bramble.kinds.blockers import Blocker
from bramble.kinds.requests import Refused
from bramble.kinds.rollout.analysis import ALWAYS, Judgement, absolute, error_rates, judge, rule_of, tests_of, watched_rules
from bramble.kinds.rollout.counting import advance
from bramble.kinds.rollout.counts import Counts, evidence_of, history_of
from bramble.kinds.rollout.growth import growth_evidence
from bramble.kinds.rollout.incident.incident import Origin
from bramble.kinds.rollout.ledger import Ledger
from bramble.kinds.rollout.ledger_store import read_ledger
from bramble.kinds.rollout.nodes import FleetSeen, Nodes
from bramble.kinds.rollout.reading import WatchAsked
from bramble.kinds.rollout.steps import Steps, present_steps
from bramble.kinds.rollout.watch_time import watch_state
from bramble.kinds.rollout.watching import watch_evidence_of
from bramble.kinds.sources import Devices
from bramble.kube.resources import Manifest


@dataclass(frozen=True)
class Written:
    """The stored assignment, with the uid and resourceVersion that a write onto it is conditional on."""

    uid: str
    resource_version: str
    assignment: Assignment


@dataclass(frozen=True)
class StoredLedger:
    """The stored evidence: the uid of its ConfigMap, and the ConfigMap."""

    uid: str
    manifest: Manifest

    @cached_property
    def ledger(self) -> Ledger | None:
        """What it holds; None where nobody can read it. It is read in the plan, which runs in a thread: a large fleet's takes 0.1 s."""
        return read_ledger(self.manifest)


@dataclass(frozen=True)
class Observed:
    """One pass.

    Attributes:
        rollout: the object itself.
        fleet: its fleet.
        wanted: the version that the spec names; None while a blocker says why it cannot be rolled out.
        blocker: why the version that the spec names cannot be rolled out now.
        devices: what the fleet's devices last reported.
        written: the assignment of this model on this fleet, which may be another Rollout's; None when there is none.
        blobs: package digest to the blobs that a device needs for it.
        rival: name of the Rollout of the same model on the same fleet that has precedence, if there is one.
        namespace: the operator's namespace, where assignments and evidence are stored.
        fallback: the version before the one that is watched, to which an undo goes back; or why the fleet cannot. None without a watch.
        target: the version that a request `undo` that is not answered yet names, if the fleet can go back to it; or why it cannot.
        origins: what the two versions of an undo that is not filed yet were made from, by name.
        stored_ledger: the evidence as it is stored; None when there is none.
        elapsed: the seconds since each event that `elapsed.measured` names.
        now: when the pass is planned. `plan` sets it.
    """

    rollout: Object[Spec, Status]
    fleet: FleetSeen
    wanted: Release | None
    blocker: Blocker | None
    devices: Devices
    written: Written | None
    blobs: Mapping[str, PackageBlobs]
    rival: str | None
    namespace: str
    fallback: Release | Refused | None = None
    target: Release | Refused | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)
    stored_ledger: StoredLedger | None = None
    elapsed: Mapping[str, float] = field(default_factory=dict)
    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def at(self, now: datetime) -> Observed:
        """The same, planned at this time."""
        return replace(self, now=now)

    @property
    def metadata(self) -> Metadata:
        return self.rollout.metadata

    @property
    def spec(self) -> Spec:
        return self.rollout.spec

    @property
    def status(self) -> Status:
        return self.rollout.status

    @cached_property
    def _present(self) -> Steps:
        steps = self.spec.strategy.canary.steps if self.spec.strategy.canary is not None else ()
        begun = self.status.begun if self.status.candidate is not None else None
        return present_steps(steps, self.status.step, begun, len(self.fleet.nodes))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the spec, with the present one as it began where the spec has it no more."""
        return self._present.steps

    @property
    def index(self) -> int:
        """Index of the present step among `steps`."""
        return self._present.present

    @property
    def step(self) -> Step:
        """The present step."""
        return self.steps[self.index]

    @property
    def at_last_step(self) -> bool:
        return self.index == len(self.steps) - 1

    @property
    def every_node_next(self) -> bool:
        """Whether the step with every node comes next, at most after pauses."""
        return not self.at_last_step and all(step.pause is not None for step in self.steps[self.index + 1 : -1])

    @property
    def model(self) -> str:
        """The model that this Rollout keeps on the fleet; empty before it ever had one."""
        present = self.status.candidate or self.status.stable or self.wanted
        return present.model if present is not None else ""

    @property
    def assignment(self) -> Assignment | None:
        """The stored assignment, if this Rollout wrote it."""
        written = self.written
        return written.assignment if written is not None and written.assignment.rollout_uid == self.metadata.uid else None

    @cached_property
    def nodes(self) -> Nodes:
        """What the nodes report about this model."""
        return Nodes(self.fleet, self.devices, self.metadata.namespace, self.model, self.metadata.uid, self.assignment)

    @cached_property
    def trials(self) -> Mapping[str, CandidateState]:
        """How far the candidate is on each reachable node that should have it."""
        return self.nodes.trials(self.status.candidate, self.status.attempt)

    @property
    def refusals(self) -> dict[str, str]:
        """Nodes that refused the candidate, with the reason that each gave."""
        return {node: state.message or "the device gave no reason" for node, state in self.trials.items() if state.state == "refused"}

    @property
    def abandoned(self) -> frozenset[str]:
        """Nodes that gave the candidate up because they lost contact or rebooted."""
        return frozenset(node for node, state in self.trials.items() if state.state == "abandoned")

    @cached_property
    def not_on_stable(self) -> frozenset[str]:
        """Reachable nodes that should serve the stable version and do not; without one, those that serve anything of this Rollout.

        A node whose board the stable version has no package for should serve nothing, and is not among them.
        """
        stable = self.status.stable
        if stable is None:
            return self.nodes.serving_this_rollout
        missing = self.nodes.reachable - self.nodes.verified(stable)
        return frozenset(node for node in missing if self.fleet.nodes.get(node) in stable.packages)

    @property
    def awaited(self) -> frozenset[str]:
        """Nodes that must return to the stable version before another one is tried.

        Not awaited is a node that reports why it cannot serve the stable version, such as a full disk, and one whose agent reports nothing
        of this model, since it serves nothing of it either. They would hold up every later version.
        """
        running = self.nodes.running
        return frozenset(node for node in self.not_on_stable if node in running and not running[node].message)

    @cached_property
    def highest_seq(self) -> int:
        """The highest seq that the stored assignment or any device of the fleet has. Memory is not counted."""
        written = self.written.assignment.seq if self.written is not None else 0
        return max(written, self.nodes.highest_seq(max(self.status.seq, written)))

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """What the candidate is judged by: the rules of every candidate, then those of the spec."""
        return (*ALWAYS, *self.compared)

    @cached_property
    def compared(self) -> tuple[Rule, ...]:
        """The spec's guardrails with their defaults, as far as they are judged in the present step.

        While there is no stable version to compare with, those are limits and ceilings. Whether the candidate is better is asked before the
        step with every node, which leaves none to compare with, and before the promotion.
        """
        rules = tuple(rule_of(guardrail) for guardrail in self.spec.analysis.guardrails)
        if self.status.stable is None:
            return absolute(rules)
        if self.at_last_step or self.every_node_next:
            return rules
        return tuple(rule.model_copy(update={"better": None}) for rule in rules)

    @cached_property
    def counts(self) -> Counts:
        """What the devices counted in each cohort of the present attempt."""
        return Counts(self.status, self.nodes)

    @cached_property
    def ledger(self) -> Ledger:
        """The stored ledger with what this pass has read."""
        stored = self.stored_ledger.ledger if self.stored_ledger is not None else None
        return advance(stored, self.counts.reading(self.metadata.uid, self.index, self.compared, self.watch_asked), self.now)

    @cached_property
    def evidence(self) -> tuple[GuardEvidence, ...]:
        """The evidence about each of `rules`."""
        return (*(evidence_of(self.ledger, rule) for rule in ALWAYS), *self.compared_evidence)

    @cached_property
    def compared_evidence(self) -> tuple[GuardEvidence, ...]:
        """The evidence about each of `compared`."""
        return tuple(
            growth_evidence(self.ledger, rule, self.counts.memory_of_candidates)
            if isinstance(metric_named(rule.metric), GrowthMetric)
            else evidence_of(self.ledger, rule, self.counts.serving)
            for rule in self.compared
        )

    @cached_property
    def watch_asked(self) -> WatchAsked | None:
        """What the ledger keeps for the watch of the stable version; None where there is none, or it is over.

        The probability of undoing a good version is divided among the tests; half of each part is for what its own rate may be wrong by.
        """
        rules = watched_rules(self.spec.analysis)
        if watch_state(self.rollout, self.now) in (None, "Over"):
            return None
        error = error_rates(self.spec.analysis).false_rollback / tests_of(rules) / 2
        return WatchAsked(self.status.promoted_at, rules, error)

    @cached_property
    def watch_evidence(self) -> tuple[GuardEvidence, ...]:
        """The evidence about each rule of the watch."""
        if self.watch_asked is None:
            return ()
        present = self.counts.present
        return tuple(watch_evidence_of(self.ledger, rule, present) for rule in self.watch_asked.rules)

    @cached_property
    def watch_judgement(self) -> Judgement | None:
        """The verdict on the version that is watched; None where none is, and while another version is tried."""
        if self.watch_asked is None or self.status.candidate is not None:
            return None
        return judge(self.watch_asked.rules, self.watch_evidence, error_rates(self.spec.analysis))

    @property
    def blind(self) -> str | None:
        """Why a step with every node could not be judged; None where it can.

        Such a step has nothing to compare with but what the stable version counted before. A rule with a limit needs nothing, unless it
        asks for better, or cannot count yet, such as durations before it is known what is slow: no node would be left to learn it from. A
        ceiling only lets a version pass: without a comparison one that fails every request would stay. Of a first version only limits are
        judged, which need nothing.
        """
        if self.status.stable is None:
            return None
        asked = [bool(guardrail.better) for guardrail in self.spec.analysis.guardrails]
        for rule, evidence, better in zip(self.compared, self.compared_evidence, asked, strict=True):
            metric, events = metric_named(rule.metric), history_of(self.ledger, rule)
            if not isinstance(metric, CountedMetric):
                continue  # it decides by the nodes with the candidate, and after its last look at the latest
            if (unknown := metric.unknown(rule, evidence)) is not None:
                return f"{rule.title}: {unknown}, and every node on the candidate leaves none; wait for more, or lower minEvents"
            if (better or rule.limit is None) and events < rule.min_events:
                return (
                    f"{rule.title}: the stable version had {events} of {rule.min_events} {metric.event}, and every node on the candidate"
                    f" leaves nothing else to compare with; wait for more{'' if better else ', or set a limit'}"
                )
        return None

    @cached_property
    def judgement(self) -> Judgement:
        """The verdict of every guardrail on the evidence."""
        return judge(self.rules, self.evidence, error_rates(self.spec.analysis))
