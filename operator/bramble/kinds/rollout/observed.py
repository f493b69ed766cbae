"""Everything that a Rollout's plan looks at, and what can be read off it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bramble.api.objects import Metadata, Object
from bramble.api.rollout import Release, Spec, Status, Step
from bramble.contracts.assignment import Assignment, PackageBlobs
from bramble.contracts.report import OFFLINE_SECONDS, CandidateState, Report, Running, SeenReport
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import CohortCounters
from bramble.kinds.rollout.analysis import Judgement, judge, rule_of
from bramble.kinds.rollout.cohorts import Stratum
from bramble.kinds.rollout.evidence import Counting, Evidence, cohort_counters
from bramble.kinds.sources import Devices

SEQ_AHEAD = 10**6
"""A device that has seen a seq so far above all that is known here is not believed: memory would take it over, and never shrinks."""

LOST_SECONDS = 2 * OFFLINE_SECONDS
"""A node that took the candidate and is silent for this long is lost: one missed window may be the network's."""


@dataclass(frozen=True)
class Hold:
    """Why something cannot go on now: a condition's reason, and a message that says what to do."""

    reason: str
    message: str


@dataclass(frozen=True)
class FleetSeen:
    """The fleet as the operator has labelled its nodes.

    Attributes:
        nodes: node to board; while there is a hold, those of the assignment, since nothing is taken from a device meanwhile.
        strata: node to its values of `stratifyBy`.
        hold: the Fleet is missing, cannot be used, or does not allow this namespace.
    """

    name: str
    nodes: Mapping[str, str] = field(default_factory=dict)
    strata: Mapping[str, Stratum] = field(default_factory=dict)
    hold: Hold | None = None

    def by_board(self) -> dict[str, tuple[str, ...]]:
        """Board to its nodes."""
        boards = sorted(set(self.nodes.values()))
        return {board: tuple(sorted(node for node, of in self.nodes.items() if of == board)) for board in boards}


@dataclass(frozen=True)
class Written:
    """The assignment as it stands, and what a write onto it is conditional on."""

    uid: str
    resource_version: str
    assignment: Assignment


@dataclass(frozen=True)
class Observed:
    """One pass.

    Attributes:
        rollout: the object itself.
        fleet: its fleet.
        wanted: the version that the spec names, as far as it can be rolled out; None while `wanted_hold` says why not.
        devices: what the fleet's devices last said.
        written: the assignment of this model on this fleet, whoever's it is; None when there is none.
        blobs: package digest to the blobs that a device needs for it.
        rival: the Rollout of the same model on the same fleet that wins, if any.
        namespace: the operator's, where assignments live.
    """

    rollout: Object[Spec, Status]
    fleet: FleetSeen
    wanted: Release | None
    wanted_hold: Hold | None
    devices: Devices
    written: Written | None
    blobs: Mapping[str, PackageBlobs]
    rival: str | None
    namespace: str

    @property
    def metadata(self) -> Metadata:
        return self.rollout.metadata

    @property
    def spec(self) -> Spec:
        return self.rollout.spec

    @property
    def status(self) -> Status:
        return self.rollout.status

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.spec.strategy.canary.steps if self.spec.strategy.canary is not None else ()

    @property
    def index(self) -> int:
        """Of the present step; steps that were taken out of the spec count as done."""
        return min(self.status.step, len(self.steps) - 1)

    @property
    def step(self) -> Step:
        return self.steps[self.index]

    @property
    def at_last_step(self) -> bool:
        return self.index == len(self.steps) - 1

    @property
    def model(self) -> str:
        """The model that this Rollout keeps on the fleet; empty before it ever had one."""
        present = self.status.candidate or self.status.stable or self.wanted
        return present.model if present is not None else ""

    @property
    def ours(self) -> Assignment | None:
        """The assignment, when this Rollout wrote it."""
        written = self.written
        return written.assignment if written is not None and written.assignment.rollout_uid == self.metadata.uid else None

    @cached_property
    def running(self) -> Mapping[str, Running]:
        """Reachable nodes of the fleet that serve, or should serve, this model."""
        return {node: found for node in self.reachable if (found := self._running_of(self.devices.reports[node].report)) is not None}

    @cached_property
    def reachable(self) -> frozenset[str]:
        """Nodes of the fleet that reported in the last 15 seconds."""
        return frozenset(
            node for node in self.fleet.nodes if (seen := self._report(node)) is not None and seen.age_seconds <= OFFLINE_SECONDS
        )

    @property
    def unreachable(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.fleet.nodes) - self.reachable))

    def verified(self, release: Release | None, nodes: Iterable[str] | None = None) -> frozenset[str]:
        """Reachable nodes (of those named) that serve their board's package of this version, by digest, for the present assignment."""
        if release is None:
            return frozenset()
        among = self.reachable if nodes is None else self.reachable & set(nodes)
        return frozenset(node for node in among if self._serves(node, release))

    def lost(self, nodes: Iterable[str]) -> frozenset[str]:
        """Those that are silent though every gateway replica has listened long enough."""
        if not self.devices.proves_silence:
            return frozenset()
        return frozenset(node for node in nodes if (seen := self._report(node)) is None or seen.age_seconds > LOST_SECONDS)

    def took(self, nodes: Iterable[str], release: Release) -> frozenset[str]:
        """Those whose last word was that they had taken this version, or were trying it."""
        digests = set(release.packages.values())
        found = set()
        for node in nodes:
            seen = self._report(node)
            running = self._running_of(seen.report) if seen is not None else None
            trying = running is not None and running.candidate is not None and running.candidate.package in digests
            if running is not None and (running.active in digests or trying):
                found.add(node)
        return frozenset(found)

    def refusals(self) -> dict[str, str]:
        """Candidate nodes on which the candidate failed, with what they say."""
        return {node: state.message or "the device refused it" for node, state in self._trials().items() if state.state == "refused"}

    def abandoned(self) -> frozenset[str]:
        """Candidate nodes whose trial ended by lost contact or a reboot."""
        return frozenset(node for node, state in self._trials().items() if state.state == "abandoned")

    def _trials(self) -> dict[str, CandidateState]:
        """How far the candidate of this attempt is on each reachable candidate node."""
        candidate, assignment = self.status.candidate, self.ours
        if candidate is None or assignment is None:
            return {}
        found = {node: self.running[node] for node in assignment.candidate_nodes if node in self.running}
        return {
            node: running.candidate
            for node, running in found.items()
            if running.candidate is not None
            and running.attempt == self.status.attempt
            and running.candidate.package == candidate.packages.get(self.fleet.nodes.get(node, ""))
        }

    def serving_ours(self) -> set[str]:
        """Reachable nodes that serve anything that this Rollout told them to."""
        return {node for node, running in self.running.items() if running.active is not None and running.rollout_uid == self.metadata.uid}

    def highest_elsewhere(self) -> int:
        """The highest seq of the assignment or of any device of the fleet, memory left out."""
        written = self.written.assignment.seq if self.written is not None else 0
        running = [found for node in self.fleet.nodes if (seen := self._report(node)) and (found := self._running_of(seen.report))]
        believed = max(self.status.seq, written) + SEQ_AHEAD
        return max([written, *(found.seq for found in running if found.seq <= believed)])

    @cached_property
    def evidence(self) -> Evidence:
        """What the devices counted in each cohort of the present attempt. In the last step the stable cohort's counters are frozen."""
        status, reports = self.status, [seen.report for node in self.fleet.nodes if (seen := self._report(node)) is not None]
        counting = Counting(self.metadata.namespace, self.model, status.attempt)
        candidates = set(self.ours.candidate_nodes) if self.ours is not None else set()
        others = set(self.fleet.nodes) - candidates
        candidate, stable = CohortCounters(), CohortCounters()
        if status.candidate is not None:
            gone = self.took(self.lost(candidates), status.candidate) | self.abandoned()
            packages = status.candidate.packages
            candidate = cohort_counters(reports, "candidate", packages, counting, members=len(candidates), lost=len(gone))
        if status.baseline is not None:
            stable = CohortCounters.model_validate(status.baseline)
        elif status.stable is None:
            known = {node for node in others if self._report(node) is not None}
            stable = CohortCounters(members=len(others), lost=len(self.lost(known)))
        else:
            gone = self.took(self.lost(others), status.stable)
            stable = cohort_counters(reports, "stable", status.stable.packages, counting, members=len(others), lost=len(gone))
        return Evidence(candidate, stable)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The spec's guardrails with their defaults; none while there is no stable version to compare with."""
        return tuple(rule_of(guardrail) for guardrail in self.spec.analysis.guardrails) if self.status.stable is not None else ()

    @cached_property
    def judgement(self) -> Judgement:
        """The verdict of every guardrail on what the devices have counted so far."""
        return judge(self.rules, self.evidence.candidate, self.evidence.stable)

    def _serves(self, node: str, release: Release) -> bool:
        running, assignment = self.running.get(node), self.ours
        package = release.packages.get(self.fleet.nodes[node])
        return (
            running is not None
            and assignment is not None
            and package is not None
            and running.active == package
            and running.rollout_uid == self.metadata.uid
            and running.attempt == assignment.attempt
        )

    def _report(self, node: str) -> SeenReport | None:
        seen = self.devices.reports.get(node)
        return seen if seen is not None and seen.report.fleet == self.fleet.name else None

    def _running_of(self, report: Report) -> Running | None:
        wanted = (self.fleet.name, self.metadata.namespace, self.model)
        return next((running for running in report.running if (running.fleet, running.namespace, running.model) == wanted), None)
