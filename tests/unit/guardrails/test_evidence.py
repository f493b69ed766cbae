"""Adding counters up."""

from __future__ import annotations

from bramble.contracts.counters import BUCKETS, Counted, Histogram
from bramble.guardrails.evidence import CohortCounters, add_up


def histogram(bucket: int, count: int, sum_ms: float) -> Histogram:
    buckets = [0] * BUCKETS
    buckets[bucket] = count
    return Histogram(buckets=tuple(buckets), sum_ms=sum_ms)


ONE = Counted(counts={"requests": 3, "errors": 1, "other": 9}, histograms={"predict": histogram(1, 3, 0.5), "other": histogram(0, 1, 1)})
TWO = Counted(counts={"requests": 4}, histograms={"predict": histogram(2, 4, 1.5)})
NEITHER = Counted()


def test_the_named_counts_and_histograms_are_added_up() -> None:
    found = add_up([ONE, NEITHER, TWO], {"requests", "errors", "crashes"}, {"predict", "queue"})
    assert found.counts == {"requests": 7, "errors": 1}
    assert set(found.histograms) == {"predict"}
    assert found.histograms["predict"].buckets[:3] == (0, 3, 4)
    assert found.histograms["predict"].sum_ms == 2.0


def test_nothing_adds_up_to_nothing() -> None:
    assert add_up([], {"requests"}, {"predict"}) == NEITHER


def test_a_cohort_that_is_not_described_has_no_nodes() -> None:
    assert CohortCounters().model_dump() == {"counts": {}, "histograms": {}, "nodes": {}, "members": 0, "lost": 0}
