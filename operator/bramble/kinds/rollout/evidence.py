"""What the devices counted in each cohort of the present attempt. Pure.

Counters are cumulative since the agent's process started and carry the attempt, so the present attempt's counters are its evidence as they
stand. An agent that restarts counts from zero again: what it counted before is lost to the analysis, which then waits for more. Crashes
are counted on the device's disk and stay. No event is ever counted twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bramble.contracts.counters import Cohort, Counters
from bramble.contracts.report import Report
from bramble.guardrails.catalogue import METRICS
from bramble.guardrails.evidence import CohortCounters, add_up

COUNTS = frozenset[str]().union(*(metric.counts for metric in METRICS))
HISTOGRAMS = frozenset[str]().union(*(metric.histograms for metric in METRICS))
"""The names that some metric reads. Others are not added up: a device may count under any name, and sums are kept in the status."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both cohorts of the present attempt."""

    candidate: CohortCounters
    stable: CohortCounters


@dataclass(frozen=True, slots=True)
class Counting:
    """Which of a device's counters belong to the present attempt: those of this model, counted in this attempt."""

    namespace: str
    model: str
    attempt: int

    def covers(self, line: Counters) -> bool:
        """Whether the counters are of this attempt."""
        return (line.namespace, line.model, line.attempt) == (self.namespace, self.model, self.attempt)


def cohort_counters(
    reports: Iterable[Report], cohort: Cohort, packages: Mapping[str, str], counting: Counting, *, members: int, lost: int
) -> CohortCounters:
    """Add up what all nodes counted for one cohort.

    Args:
        reports: the newest report of each node.
        packages: board to package digest of the cohort's version.
        counting: the attempt.
        members: how many nodes the cohort should have.
        lost: how many of those fell silent after they took the version, or gave it up.
    """
    digests = set(packages.values())
    by_node = {
        report.node: add_up(lines, COUNTS, HISTOGRAMS)
        for report in reports
        if (lines := [line for line in report.counters if line.cohort == cohort and line.package in digests and counting.covers(line)])
    }
    total = add_up(by_node.values(), COUNTS, HISTOGRAMS)
    nodes = {metric.name: sum(metric.events(counted) > 0 for counted in by_node.values()) for metric in METRICS}
    return CohortCounters(
        counts=total.counts,
        histograms=total.histograms,
        nodes={name: number for name, number in nodes.items() if number},
        members=members,
        lost=lost,
        by_node=by_node,
    )
