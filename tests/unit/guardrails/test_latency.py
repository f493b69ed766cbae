"""Requests slower than a multiple of the stable version's quantile."""

from __future__ import annotations

from bisect import bisect_left

import pytest

from bramble.contracts.counters import ALL_BOUNDS_MS, BUCKETS, DURATION_BOUNDS_MS, PREDICT, PREDICT_LONG, Counted, Histogram
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import GuardEvidence
from bramble.guardrails.latency import LATENCY
from tests.unit.guardrails.cohort import LEVELS, counted

row = pytest.param
FAST, TWICE, SHORT = 40, 48, len(DURATION_BOUNDS_MS)
"""Buckets of requests that took at most 3.2 ms and 6.4 ms; how many buckets have a bound of at most 13.1 s."""
UNKNOWN = len(ALL_BOUNDS_MS)
"""The bucket of requests of which an earlier agent says only that they took longer than 13.1 s."""
RULE = Rule(metric="latency", quantile=0.99, max_ratio=2, min_events=100, min_nodes=1)


def took(**buckets: int) -> Counted:
    """So many requests in each bucket of both histograms, named `b40` and so on."""
    short, long = [0] * BUCKETS, [0] * BUCKETS
    for name, count in buckets.items():
        bucket = int(name[1:])
        short[min(bucket, SHORT)] += count
        if SHORT <= bucket < UNKNOWN:
            long[bucket - SHORT + 1] = count
    return Counted(histograms={PREDICT: Histogram(buckets=tuple(short)), PREDICT_LONG: Histogram(buckets=tuple(long))})


@pytest.mark.parametrize(
    ("rule", "stable", "edge"),
    [
        row(RULE, [took(b40=100)], TWICE, id="twice the bound below which all requests were"),
        row(RULE, [took(b40=50), took(b40=50)], TWICE, id="of all nodes together"),
        row(RULE, [took(b40=1000)] * 200 + [took(b273=10**9)], TWICE, id="one node does not say alone what is slow"),
        row(RULE, [took(b40=3), took(b40=200), took(b40=1)], TWICE, id="a node may have most of the requests"),
        row(RULE, [took(b40=99)], None, id="of too few requests nothing follows"),
        row(RULE, [], None, id="nor of none"),
        row(RULE, [took(b40=98, b60=2)], 68, id="the slowest two of a hundred are above the quantile's rank"),
        row(RULE.model_copy(update={"quantile": 0.5}), [took(b40=98, b60=2)], TWICE, id="the median"),
        row(RULE, [took(b136=100)], 144, id="twice 13.1 s"),
        row(RULE, [took(b140=100)], 148, id="twice a bound above 13.1 s"),
        row(RULE, [took(b272=100)], 272, id="a threshold above the last bound is the last bound"),
        row(RULE, [took(b273=100)], 272, id="so is that of requests of earlier agents that are slower than 13.1 s"),
    ],
)
def test_what_is_slow(rule: Rule, stable: list[Counted], edge: int | None) -> None:
    assert LATENCY.edge(rule, stable) == edge


def test_slow_requests_are_those_above_the_edge() -> None:
    assert LATENCY.tally(took(b40=90, b48=6, b49=3, b150=1), TWICE) == (4, 100)
    assert LATENCY.tally(took(b40=90), None) == (0, 0)


@pytest.mark.parametrize("stable", [7_000, 14_000, 600_000], ids="{:,} ms".format)
def test_what_is_slow_is_told_apart_above_13_seconds_too(stable: int) -> None:
    """A threshold above 13.1 s once let everything pass, and so did requests of the stable version above 13.1 s."""
    usual, slower = (f"b{bisect_left(ALL_BOUNDS_MS, milliseconds)}" for milliseconds in (stable, 3 * stable))
    edge = LATENCY.edge(RULE, [took(**{usual: 100})])
    assert edge is not None
    assert LATENCY.tally(took(**{usual: 50, slower: 50}), edge) == (50, 100)
    assert LATENCY.over_ms(edge) == pytest.approx(2 * stable, rel=0.2)


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
