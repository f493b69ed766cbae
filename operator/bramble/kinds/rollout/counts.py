"""What the devices say about the present attempt, and what evidence follows from it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from bramble.api.rollout import Release, Status
from bramble.contracts.confusion import Confusion, add_confusions
from bramble.contracts.counters import Cohort, Counted, Counters, add_histograms
from bramble.contracts.report import Report
from bramble.evidence.nodes import DECIMALS, Node, compare, deviation
from bramble.guardrails.base import CountedMetric, Rule
from bramble.guardrails.catalogue import counted_metric, metric_named
from bramble.guardrails.evidence import NOTHING_SHOWN, GuardEvidence, Tally
from bramble.guardrails.growth import GrowthMetric
from bramble.guardrails.lost import LOST
from bramble.kinds.rollout.counting import MOST_PER_SECOND, SLACK_SECONDS
from bramble.kinds.rollout.growth import memory_lines
from bramble.kinds.rollout.idle import idle_nodes
from bramble.kinds.rollout.ledger import ZERO, Guard, Ledger, Pair
from bramble.kinds.rollout.loss_counting import closed, compared_nodes
from bramble.kinds.rollout.losses import silences
from bramble.kinds.rollout.nodes import Nodes
from bramble.kinds.rollout.reading import Line, MemoryLine, Reading, WatchAsked

ABSENT_SECONDS = 86400
"""A node that was silent for so long is not waited for: a watch goes on without it."""


@dataclass(frozen=True)
class Counts:
    """What the nodes of a Rollout counted."""

    status: Status
    nodes: Nodes

    @property
    def candidates(self) -> frozenset[str]:
        """The nodes that the assignment of this attempt gives the candidate to."""
        assignment, candidate = self.nodes.assignment, self.status.candidate
        if (
            assignment is None
            or candidate is None
            or assignment.attempt != self.status.attempt
            or assignment.candidate != candidate.packages
        ):
            return frozenset()
        return frozenset(assignment.candidate_nodes)

    @property
    def others(self) -> frozenset[str]:
        """The other nodes of the fleet."""
        return frozenset(self.nodes.fleet.nodes) - self.candidates

    @property
    def present(self) -> frozenset[str]:
        """The nodes of the fleet without those that are known to have been silent for `ABSENT_SECONDS`."""
        silent = self.nodes.silent(self.nodes.fleet.nodes)
        absent = {node for node in silent if (seen := self.nodes.report(node)) is None or seen.age_seconds > ABSENT_SECONDS}
        return frozenset(self.nodes.fleet.nodes) - absent

    def reading(self, rollout_uid: str, step: int, rules: tuple[Rule, ...], watch: WatchAsked | None = None) -> Reading:
        """What the ledger needs of it."""
        status, candidates = self.status, self.candidates
        counted = tuple(rule for rule in rules if isinstance(metric_named(rule.metric), CountedMetric))
        return Reading(
            rollout_uid=rollout_uid,
            attempt=status.attempt,
            step=step,
            stable=status.stable.uid if status.stable is not None else "",
            candidate=status.candidate.uid if status.candidate is not None else "",
            rules=(*counted, *(watch.rules if watch is not None else ())),
            growth_rules=tuple(rule for rule in rules if isinstance(metric_named(rule.metric), GrowthMetric)),
            watch=watch,
            candidates=candidates,
            others=self.others,
            silences=silences(status, self.nodes, candidates),
            lines=self._lines(candidates),
            ended=self._ended_lines(candidates),
            memory=self.memory,
            served=self._served,
        )

    def memory(self, cohort: Cohort) -> Mapping[str, MemoryLine]:
        """Node of the cohort to what its agent says about its memory since it serves the version that it should."""
        return self.memory_of_candidates if cohort == "candidate" else memory_lines(self.nodes, self.status.stable, self.others)

    @cached_property
    def memory_of_candidates(self) -> Mapping[str, MemoryLine]:
        """The same of the nodes with the candidate."""
        return memory_lines(self.nodes, self.status.candidate, self.candidates)

    def _lines(self, candidates: frozenset[str]) -> Mapping[str, Line]:
        """Node to what its agent counted in this attempt for the version that it should serve."""
        members = self.nodes.fleet.nodes.keys() | candidates
        reports = {node: seen.report for node in members if (seen := self.nodes.report(node)) is not None}
        return self._counted(reports, candidates)

    def _ended_lines(self, candidates: frozenset[str]) -> Mapping[str, Line]:
        """The same of the agent's process before the present one."""
        members, name = (self.nodes.fleet.nodes.keys() | candidates) - self.nodes.devices.two_agents.keys(), self.nodes.fleet.name
        ended = {node: report for node, report in self.nodes.devices.ended.items() if node in members and report.fleet == name}
        return self._counted(ended, candidates)

    def _counted(self, reports: Mapping[str, Report], candidates: frozenset[str]) -> Mapping[str, Line]:
        status, lines = self.status, {}
        for node, report in reports.items():
            release = status.candidate if node in candidates else status.stable
            if release is None:
                continue
            cohort = "candidate" if node in candidates else "stable"
            counted = [
                line for line in self._of_release(report.counters, release) if (line.cohort, line.attempt) == (cohort, status.attempt)
            ]
            if counted or node in self.serving:
                lines[node] = Line(f"{report.boot_id}/{report.instance}", add_up(counted))
        return lines

    def _served(self) -> Mapping[str, Counted]:
        """Node to all that its agent counted for the stable version since it started, unless that is more than can be in the time."""
        if self.status.stable is None:
            return {}
        reports = {node: seen.report for node in self.nodes.fleet.nodes if (seen := self.nodes.report(node)) is not None}
        lines = {node: self._of_release(report.counters, self.status.stable) for node, report in reports.items()}
        served = {node: add_up(found) for node, found in lines.items() if found}
        return {node: counted for node, counted in served.items() if counted.most_events <= self._most(node)}

    @cached_property
    def serving(self) -> frozenset[str]:
        """The nodes that serve the candidate, verified by digest."""
        return frozenset(self.nodes.verified(self.status.candidate, self.candidates & self.nodes.fleet.nodes.keys()))

    def confusions(self) -> tuple[Confusion, Confusion]:
        """The labelled answers of this attempt by class, as the present processes counted them: the candidate's, and those of the stable
        version on the other nodes. A device that claims more than can be in the time is left out.
        """
        lines = {node: line.counted for node, line in self._lines(self.candidates).items() if line.counted.most_events <= self._most(node)}
        candidate, stable = (
            add_confusions(seen for node in nodes if node in lines and (seen := lines[node].confusion) is not None)
            for nodes in (sorted(self.candidates), sorted(self.others))
        )
        return candidate, stable

    def _most(self, node: str) -> float:
        """The most events that a node's agent can have counted since it started."""
        seen = self.nodes.report(node)
        return MOST_PER_SECOND * (seen.report.uptime_ms / 1000 + SLACK_SECONDS) if seen is not None else 0.0

    def _of_release(self, lines: Iterable[Counters], release: Release) -> list[Counters]:
        wanted, digests = (self.nodes.namespace, self.nodes.model), set(release.packages.values())
        return [line for line in lines if (line.namespace, line.model) == wanted and line.package in digests]


def add_up(counters: Iterable[Counted]) -> Counted:
    """The sums of all counts and histograms, by name, and of the answers by class; nothing of none."""
    found = tuple(counters)
    if len(found) == 1:
        return found[0]
    counts = {name for each in found for name in each.counts}
    histograms = {name for each in found for name in each.histograms}
    return Counted.model_construct(
        counts={name: sum(each.counts.get(name, 0) for each in found) for name in counts},
        histograms={name: add_histograms(each.histograms[name] for each in found if name in each.histograms) for name in histograms},
        confusion=add_confusions(said) if (said := [each.confusion for each in found if each.confusion is not None]) else None,
    )


def evidence_of(ledger: Ledger, rule: Rule, serving: frozenset[str] = frozenset()) -> GuardEvidence:
    """What the ledger shows about a rule.

    Args:
        serving: the nodes that serve the candidate.
    """
    if rule.metric == LOST.name:
        return lost_evidence(ledger)
    index = ledger.guard(rule)
    if index is None:
        return GuardEvidence(metric=rule.metric, label=rule.label)
    guard = ledger.guards[index]
    nodes = [
        Node(node.cohort == "candidate", node.sums[index], node.baseline[index], node.since[index])
        for node in ledger.nodes.values()
        if node.sums[index][1] > 0
    ]
    shown = _shown(ledger, guard, nodes)
    return shown.model_copy(
        update={
            "idle": idle_nodes(ledger, index, serving),
            "serving": len(serving),
            "over_ms": counted_metric(rule.metric).over_ms(guard.edge),
            "better": guard.better if rule.better else None,
            "candidate_deviation": deviation([node for node in nodes if node.candidate]),
            "stable_deviation": deviation([node for node in nodes if not node.candidate]),
        }
    )


def lost_evidence(ledger: Ledger) -> GuardEvidence:
    """What the ledger shows about nodes that fell silent, those of the open moment among them."""
    losses = closed(ledger.losses, trying=bool(ledger.candidate))
    return _shown(ledger, losses.guard, compared_nodes(losses)).model_copy(update={"away": losses.away})


def _tally(sums: Pair, nodes: int) -> Tally:
    """Sums in whole numbers. A node may be lost in its first minute."""
    bad = round(sums[0])
    return Tally(bad=bad, events=max(bad, round(sums[1])), nodes=nodes)


def _shown(ledger: Ledger, guard: Guard, nodes: list[Node]) -> GuardEvidence:
    members = sum(node.candidate for node in nodes)
    stable = _tally(guard.stable, len(nodes) - members)
    compared, weight, frozen = guard.compared, guard.weights[1], guard.frozen
    if frozen is not None:
        nodes = [node for node in nodes if node.candidate]
        compared = ZERO  # single nodes are compared with nodes of the same time, of which none is left
        if not stable.events:
            stable, weight = frozen.whole, frozen.whole_weight
            nodes = [*nodes, Node(candidate=False, sums=(stable.bad, weight), baseline=(1.0, 0.0))]
            compared = (float(stable.bad), weight)
    seen = compare(guard.test, nodes, compared, frozen.former if frozen is not None else None) if members else None
    whole = guard.weights[0] + weight
    return GuardEvidence(
        metric=guard.metric,
        label=guard.label,
        candidate=_tally(guard.candidate, members),
        stable=stable,
        ratio=guard.ratio,
        spread=seen.spread if seen is not None else 0.0,
        share=round(guard.weights[0] / whole, DECIMALS) if whole else 0.0,
        single=seen.single if seen is not None else NOTHING_SHOWN,
        drift=seen.drift if seen is not None and frozen is None and len(nodes) > members else None,
        frozen=frozen is not None,
        left=round(frozen.bad + frozen.again[0], 1) if frozen is not None else None,
        seconds=float(max(0, ledger.at - ledger.began)),
    )


def history_of(ledger: Ledger, rule: Rule) -> int:
    """How many events of a rule the stable version's nodes had, as far as they are not forgotten."""
    index = ledger.guard(rule)
    return round(sum(node.history[index][1] for node in ledger.nodes.values())) if index is not None else 0
