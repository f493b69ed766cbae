"""One cohort's counters as a test row."""

from __future__ import annotations

from bramble.contracts.counters import BUCKETS, PREDICT, Histogram
from bramble.guardrails.catalogue import METRICS
from bramble.guardrails.evidence import CohortCounters

FAST, TWICE, SLOW = 40, 48, 60
"""Buckets of requests that took at most 3.2 ms, 6.4 ms, and 18.1 ms."""


def cohort(
    requests: int = 0, *, slow: int = 0, bucket: int = SLOW, nodes: int = 3, members: int = 3, lost: int = 0, **counts: int
) -> CohortCounters:
    """A cohort that answered so many requests on so many nodes, the slow ones among them in a bucket of their own; other counts by name."""
    buckets = [0] * BUCKETS
    buckets[FAST], buckets[bucket] = requests - slow, slow
    return CohortCounters(
        counts={"requests": requests, **counts},
        histograms={PREDICT: Histogram(buckets=tuple(buckets))},
        nodes={metric.name: nodes for metric in METRICS},
        members=members,
        lost=lost,
    )


def feedback(answers: int, *, wrong: int = 0, nodes: int = 3) -> CohortCounters:
    """A cohort for which somebody sent the true label of so many answers."""
    return cohort(answers, right=answers - wrong, wrong=wrong, nodes=nodes)
