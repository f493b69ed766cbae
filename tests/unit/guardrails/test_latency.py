"""Requests slower than a multiple of the stable version's quantile."""

from __future__ import annotations

import pytest

from bramble.contracts.counters import BUCKETS, DURATION_BOUNDS_MS, PREDICT, Counted, Histogram
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import GuardEvidence
from bramble.guardrails.latency import LATENCY
from tests.unit.guardrails.cohort import LEVELS, counted

row = pytest.param
FAST, TWICE, LAST = 40, 48, BUCKETS - 1
"""Buckets of requests that took at most 3.2 ms, 6.4 ms, and longer than 13.1 s."""
RULE = Rule(metric="latency", quantile=0.99, max_ratio=2, min_events=100, min_nodes=1)


def took(**buckets: int) -> Counted:
    """So many requests in each bucket, named `b40` and so on."""
    counts = [0] * BUCKETS
    for name, count in buckets.items():
        counts[int(name[1:])] = count
    return Counted(histograms={PREDICT: Histogram(buckets=tuple(counts))})


@pytest.mark.parametrize(
    ("rule", "stable", "edge"),
    [
        row(RULE, [took(b40=100)], TWICE, id="twice the bound below which all requests were"),
        row(RULE, [took(b40=50), took(b40=50)], TWICE, id="of all nodes together"),
        row(RULE, [took(b40=1000)] * 200 + [took(b137=10**9)], TWICE, id="one node does not say alone what is slow"),
        row(RULE, [took(b40=3), took(b40=200), took(b40=1)], TWICE, id="a node may have most of the requests"),
        row(RULE, [took(b40=99)], None, id="of too few requests nothing follows"),
        row(RULE, [], None, id="nor of none"),
        row(RULE, [took(b40=98, b60=2)], 68, id="the slowest two of a hundred are above the quantile's rank"),
        row(RULE.model_copy(update={"quantile": 0.5}), [took(b40=98, b60=2)], TWICE, id="the median"),
        row(RULE, [took(b136=100)], 136, id="a threshold above the last bound is the last bound"),
        row(RULE, [took(b137=100)], 136, id="so is that of requests that are slower than all bounds"),
    ],
)
def test_what_is_slow(rule: Rule, stable: list[Counted], edge: int | None) -> None:
    assert LATENCY.edge(rule, stable) == edge


def test_slow_requests_are_those_above_the_edge() -> None:
    assert LATENCY.tally(took(b40=90, b48=6, b49=3, b137=1), TWICE) == (4, 100)
    assert LATENCY.tally(took(b40=90), None) == (0, 0)


def test_requests_above_the_last_bound_are_always_slow() -> None:
    """A threshold above 13.1 s once let everything pass."""
    edge = LATENCY.edge(RULE, [took(b135=100)])
    assert edge is not None
    assert LATENCY.tally(took(b135=50, b137=50), edge) == (50, 100)
    assert LATENCY.over_ms(edge) == round(DURATION_BOUNDS_MS[-1], 2)


def slow(candidate: tuple[int, int], stable: tuple[int, int]) -> GuardEvidence:
    return counted("latency", candidate, stable, over_ms=6.4)


@pytest.mark.parametrize(
    ("rule", "seen", "expected"),
    [
        row(RULE, slow((100, 1000), (1, 9000)), "Fail", id="a tenth of the requests are slow"),
        row(RULE, slow((100, 1000), (900, 9000)), "Pass", id="on the stable nodes as well: the version is not at fault"),
        row(RULE, slow((9, 1000), (1, 90_000)), "Undecided", id="many more than on stable nodes, and no more than the quantile leaves"),
        row(RULE, slow((0, 1000), (0, 9000)), "Pass", id="fewer than the quantile leaves"),
        row(RULE.model_copy(update={"ceiling": 0.2}), slow((100, 1000), (1, 9000)), "Pass", id="a larger share is allowed"),
        row(RULE.model_copy(update={"limit": 0.05}), slow((100, 1000), (900, 9000)), "Fail", id="above the limit"),
        row(RULE, GuardEvidence(metric="latency"), "Undecided", id="nobody knows yet what is slow"),
    ],
)
def test_latency(rule: Rule, seen: GuardEvidence, expected: str) -> None:
    verdict = LATENCY.judge(rule, seen, LEVELS)
    assert verdict.verdict == expected, verdict.message


def test_a_verdict_says_what_was_compared() -> None:
    message = (
        "latency: 10 % of 1000 requests took longer than 6.40 ms on candidate nodes, 0.0111 % of 9000 on stable nodes;"
        " shown to be above 2 × stable"
    )
    assert LATENCY.judge(RULE, slow((100, 1000), (1, 9000)), LEVELS).message == message
    unknown = "latency: fewer than 100 requests so far on stable nodes, which are needed to know what is slow"
    assert LATENCY.judge(RULE, GuardEvidence(metric="latency"), LEVELS).message == unknown
