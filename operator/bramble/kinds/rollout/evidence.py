"""What the devices counted in each cohort of the present attempt. Pure.

Counters are cumulative since the agent's process started and carry the attempt, so the present attempt's counters are its evidence as they
stand. An agent that restarts counts from zero again: what it counted before is lost to the analysis, which then waits for more. Crashes
are counted on the device's disk and stay. No event is ever counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from bramble.api.rollout import Release, Status
from bramble.contracts.counters import Cohort, Counters
from bramble.guardrails.catalogue import METRICS
from bramble.guardrails.evidence import CohortCounters, add_up
from bramble.kinds.rollout.losses import candidate_members, lost_candidates, lost_stable
from bramble.kinds.rollout.nodes import Nodes

COUNTS = frozenset[str]().union(*(metric.counts for metric in METRICS))
HISTOGRAMS = frozenset[str]().union(*(metric.histograms for metric in METRICS))
"""The names that some metric reads. Others are not added up: a device may count under any name, and sums are kept in the status."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both cohorts of the present attempt."""

    candidate: CohortCounters
    stable: CohortCounters


def evidence_of(status: Status, nodes: Nodes, *, last_step: bool) -> Evidence:
    """The counters of the present attempt.

    The stable cohort's counters are those of the frozen baseline, where there is one: in the last step no node is left to compare with.

    Args:
        last_step: whether the present step is the last one.
    """
    candidates = set(nodes.assignment.candidate_nodes) if nodes.assignment is not None else set()
    others = set(nodes.fleet.nodes) - candidates
    candidate = CohortCounters()
    if status.candidate is not None:
        members, lost = len(candidate_members(status, nodes)), lost_candidates(status, status.candidate, nodes, last_step=last_step)
        candidate = cohort_counters(nodes, "candidate", status.candidate, status.attempt, members=members, lost=lost)
    if status.baseline is not None:
        return Evidence(candidate, CohortCounters.model_validate(status.baseline))
    if status.stable is None:
        known = {node for node in others if nodes.report(node) is not None}
        return Evidence(candidate, CohortCounters(members=len(others), lost=len(nodes.silent(known))))
    lost = lost_stable(status.stable, nodes, frozenset(others))
    return Evidence(candidate, cohort_counters(nodes, "stable", status.stable, status.attempt, members=len(others), lost=lost))


def cohort_counters(nodes: Nodes, cohort: Cohort, release: Release, attempt: int, *, members: int, lost: int) -> CohortCounters:
    """Add up what all nodes counted for one cohort of an attempt.

    Args:
        release: the version that the cohort should serve.
        members: how many nodes the cohort should have.
        lost: how many of those fell silent after they took the version, or gave it up.
    """
    wanted = (nodes.namespace, nodes.model, cohort, attempt)
    digests = set(release.packages.values())

    def belongs(line: Counters) -> bool:
        return (line.namespace, line.model, line.cohort, line.attempt) == wanted and line.package in digests

    reports = {node: seen.report for node in nodes.fleet.nodes if (seen := nodes.report(node)) is not None}
    lines = {node: [line for line in report.counters if belongs(line)] for node, report in reports.items()}
    by_node = {node: found[0] if len(found) == 1 else add_up(found, COUNTS, HISTOGRAMS) for node, found in lines.items() if found}
    total = add_up(by_node.values(), COUNTS, HISTOGRAMS)
    events = {metric.name: sum(metric.events(counted) > 0 for counted in by_node.values()) for metric in METRICS}
    return CohortCounters(
        counts=total.counts,
        histograms=total.histograms,
        nodes={name: number for name, number in events.items() if number},
        members=members,
        lost=lost,
        by_node=by_node,
    )
