"""What the devices' counters say of each cohort of the present attempt. Pure.

Counters are cumulative since the agent's process began and carry the attempt, so the present attempt's need no
difference. A restarted agent counts from nothing again: its events before are lost to the analysis, which then waits
for more; its deaths are counted on disk and stay. Nothing is ever counted twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bramble.contracts.base import Document
from bramble.contracts.counters import Cohort, Counters, Latency
from bramble.contracts.report import Report


class CohortCounters(Document):
    """Sums over the nodes of one cohort.

    Attributes:
        nodes: how many of them answered any request.
        labelled: how many of them were told of any answer whether it was right.
        lost: nodes that took the version and then fell silent, or gave it up.
        members: nodes that the cohort should have.
    """

    requests: int = 0
    errors: int = 0
    right: int = 0
    wrong: int = 0
    crashes: int = 0
    nodes: int = 0
    labelled: int = 0
    lost: int = 0
    members: int = 0
    latency: Latency = Latency()


def sum_cohort(
    reports: Iterable[Report],
    cohort: Cohort,
    packages: Mapping[str, str],
    identity: tuple[str, str, int],
    *,
    members: int = 0,
    lost: int = 0,
) -> CohortCounters:
    """Add up what all nodes counted for one cohort.

    Args:
        reports: the newest of each node.
        packages: board to package digest of the cohort's version.
        identity: namespace, model and attempt that the counters must be of.
        members: nodes the cohort should have.
        lost: how many of those fell silent after taking the version, or gave it up.
    """
    digests = set(packages.values())
    found = [
        [line for line in report.counters if line.cohort == cohort and line.package in digests and _identity(line) == identity]
        for report in reports
    ]
    lines = [line for lines in found for line in lines]
    buckets = tuple(map(sum, zip(*(line.latency.buckets for line in lines), strict=True))) or Latency().buckets
    return CohortCounters(
        requests=sum(line.requests for line in lines),
        errors=sum(line.errors for line in lines),
        right=sum(line.right for line in lines),
        wrong=sum(line.wrong for line in lines),
        crashes=sum(line.crashes for line in lines),
        nodes=sum(any(line.requests for line in lines) for lines in found),
        labelled=sum(any(line.right + line.wrong for line in lines) for lines in found),
        lost=lost,
        members=members,
        latency=Latency(buckets=buckets, sum_ms=sum(line.latency.sum_ms for line in lines)),
    )


def _identity(line: Counters) -> tuple[str, str, int]:
    return line.namespace, line.model, line.attempt
