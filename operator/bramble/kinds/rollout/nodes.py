"""The nodes of the fleet, and what they last reported about this Rollout's model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bramble.api.rollout import Release
from bramble.contracts.assignment import Assignment
from bramble.contracts.report import LOST_SECONDS, OFFLINE_SECONDS, CandidateState, Report, Running, SeenReport
from bramble.kinds.blockers import Blocker
from bramble.kinds.rollout.cohorts import Stratum
from bramble.kinds.sources import Devices

MAX_SEQ_AHEAD = 10**6
"""A device that reports a seq so far above all seqs that the operator knows is not believed. Otherwise memory would take its seq over, and
could never go back."""


@dataclass(frozen=True)
class FleetSeen:
    """The fleet as the operator has labelled its nodes.

    Attributes:
        nodes: node to board. While there is a blocker these are the nodes of the assignment, since nothing is taken from a device then.
        strata: node to its values of the Fleet's `stratifyBy` labels.
        blocker: why the Fleet cannot be used: it is missing, invalid, or does not allow this namespace.
    """

    name: str
    nodes: Mapping[str, str] = field(default_factory=dict)
    strata: Mapping[str, Stratum] = field(default_factory=dict)
    blocker: Blocker | None = None

    def by_board(self) -> dict[str, tuple[str, ...]]:
        """Board to the names of its nodes, both sorted."""
        boards = sorted(set(self.nodes.values()))
        return {board: tuple(sorted(node for node, of in self.nodes.items() if of == board)) for board in boards}


@dataclass(frozen=True)
class Nodes:
    """What the nodes report.

    Attributes:
        fleet: the fleet that they belong to. Reports of devices of other fleets are ignored.
        devices: the reports.
        namespace, model: the model that this Rollout keeps on the fleet.
        rollout_uid: uid of this Rollout.
        assignment: the assignment of this Rollout, if it has written one.
    """

    fleet: FleetSeen
    devices: Devices
    namespace: str
    model: str
    rollout_uid: str
    assignment: Assignment | None

    def report(self, node: str) -> SeenReport | None:
        """The last report of a node; None where it has not reported for this fleet, or two agents report for it."""
        return self._of_fleet.get(node)

    @cached_property
    def _of_fleet(self) -> Mapping[str, SeenReport]:
        reports, doubtful = self.devices.reports, self.devices.two_agents.keys()
        return {node: seen for node, seen in reports.items() if seen.report.fleet == self.fleet.name and node not in doubtful}

    @cached_property
    def doubtful(self) -> frozenset[str]:
        """Nodes for which two agents report. What either of them says is left aside, and they are not silent."""
        return frozenset(self.devices.two_agents.keys() & self.fleet.nodes.keys())

    @cached_property
    def reachable(self) -> frozenset[str]:
        """Nodes that reported in the last 15 seconds."""
        return self.answering(self.fleet.nodes)

    def answering(self, nodes: Iterable[str]) -> frozenset[str]:
        """Of these nodes, which may have left the fleet since, those that reported in the last 15 seconds."""
        return frozenset(node for node in nodes if (seen := self.report(node)) is not None and seen.age_seconds <= OFFLINE_SECONDS)

    @cached_property
    def unreachable(self) -> tuple[str, ...]:
        """The other nodes, sorted."""
        return tuple(sorted(set(self.fleet.nodes) - self.reachable))

    @cached_property
    def running(self) -> Mapping[str, Running]:
        """What each reachable node runs of this model; nodes that know no assignment of it are left out."""
        return {node: found for node in self.reachable if (found := self._running_of(self.devices.reports[node].report)) is not None}

    @cached_property
    def served(self) -> Mapping[str, str]:
        """Reachable node to digest of the package that it serves for the present assignment of this Rollout."""
        if self.assignment is None:
            return {}
        return {
            node: running.active
            for node, running in self.running.items()
            if running.active is not None and (running.rollout_uid, running.attempt) == (self.rollout_uid, self.assignment.attempt)
        }

    @property
    def serving_this_rollout(self) -> frozenset[str]:
        """Reachable nodes that serve anything that this Rollout assigned to them."""
        return frozenset(
            node for node, running in self.running.items() if running.active is not None and running.rollout_uid == self.rollout_uid
        )

    def verified(self, release: Release | None, among: Iterable[str] | None = None) -> frozenset[str]:
        """Reachable nodes that serve their board's package of this version for the present assignment, by digest.

        Args:
            among: only these nodes; all by default.
        """
        if release is None:
            return frozenset()
        nodes = self.served.keys() if among is None else self.served.keys() & set(among)
        return frozenset(node for node in nodes if self.served[node] == release.packages.get(self.fleet.nodes[node]))

    def silent(self, nodes: Iterable[str]) -> frozenset[str]:
        """Of these nodes, those that have been silent for `LOST_SECONDS`.

        The set is empty while silence is not proven: a gateway replica that has just started, or does not answer, may have missed
        their reports.
        """
        if not self.devices.proves_silence:
            return frozenset()
        known = (node for node in nodes if node not in self.devices.two_agents)
        return frozenset(node for node in known if (seen := self.report(node)) is None or seen.age_seconds > LOST_SECONDS)

    def last_reported_on(self, release: Release, nodes: Iterable[str], attempt: int | None = None) -> frozenset[str]:
        """Of these nodes, those that served this version, or were trying it, when they last reported.

        Args:
            attempt: only what was reported in this attempt; in any by default.
        """
        digests = set(release.packages.values())
        found = set()
        for node in nodes:
            seen = self.report(node)
            running = self._running_of(seen.report) if seen is not None else None
            if running is not None and _is_on(running, digests) and attempt in (None, running.attempt):
                found.add(node)
        return frozenset(found)

    def interrupted_on(self, release: Release, nodes: Iterable[str], attempt: int | None = None) -> dict[str, float]:
        """Of these nodes, those that served this version, or were trying it, when they were last interrupted in the last hour.

        Args:
            attempt: only interruptions of this attempt; of any by default.

        Returns:
            Node to how many seconds ago it fell silent.
        """
        digests = set(release.packages.values())
        found = {}
        for node in nodes:
            interruption = self.devices.interruptions.get(node) if node not in self.devices.two_agents else None
            running = self._running_of(interruption.before) if interruption is not None else None
            if interruption is None or running is None or not _is_on(running, digests):
                continue
            if attempt is None or running.attempt == attempt:
                found[node] = interruption.silent_since_seconds
        return found

    def serving_seconds(self, node: str) -> float | None:
        """For how long a reachable node has served what it serves; None where its agent does not report that."""
        seen, running = self.report(node), self.running.get(node)
        if seen is None or running is None or running.serving_since_ms is None:
            return None
        return max(0, seen.report.uptime_ms - running.serving_since_ms) / 1000 + seen.age_seconds

    def trials(self, candidate: Release | None, attempt: int) -> dict[str, CandidateState]:
        """How far the candidate of this attempt is on each reachable node that should have it."""
        if candidate is None or self.assignment is None:
            return {}
        found = {node: self.running[node] for node in self.assignment.candidate_nodes if node in self.running}
        return {
            node: running.candidate
            for node, running in found.items()
            if running.candidate is not None
            and running.attempt == attempt
            and running.candidate.package == candidate.packages.get(self.fleet.nodes.get(node, ""))
        }

    def highest_seq(self, known: int) -> int:
        """The highest seq that any device of the fleet has accepted.

        Args:
            known: the highest seq that the operator knows. A device whose seq is more than `MAX_SEQ_AHEAD` above it is not believed.
        """
        seen = (self.report(node) for node in self.fleet.nodes)
        running = (self._running_of(report.report) for report in seen if report is not None)
        return max((found.seq for found in running if found is not None and found.seq <= known + MAX_SEQ_AHEAD), default=0)

    def _running_of(self, report: Report) -> Running | None:
        wanted = (self.fleet.name, self.namespace, self.model)
        return next((running for running in report.running if (running.fleet, running.namespace, running.model) == wanted), None)


def _is_on(running: Running, digests: set[str]) -> bool:
    """Whether a device serves one of these packages, or is on the way to it."""
    trial = running.candidate
    return running.active in digests or (trial is not None and trial.package in digests and trial.state not in ("refused", "abandoned"))
