"""Requests slower than a multiple of the stable version's quantile."""

from __future__ import annotations

import pytest

from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import CohortCounters
from bramble.guardrails.latency import LATENCY
from tests.unit.guardrails.cohort import TWICE, cohort

row = pytest.param
RULE = Rule(metric="latency", quantile=0.99, max_ratio=2, min_events=100, min_nodes=2)
WIDE = RULE.model_copy(update={"ceiling": 0.05})
NARROW = RULE.model_copy(update={"ceiling": 0.001})
MEDIAN = RULE.model_copy(update={"quantile": 0.5})
STABLE = cohort(1000)
HALF_SLOW = cohort(1000, slow=500)


@pytest.mark.parametrize(
    ("rule", "candidate", "stable", "expected"),
    [
        row(RULE, cohort(1000, slow=10), STABLE, "Pass", id="exactly the share that the quantile leaves passes"),
        row(RULE, cohort(1000, slow=11), STABLE, "Fail", id="one request more fails"),
        row(
            RULE,
            cohort(1000, slow=500, bucket=TWICE),
            STABLE,
            "Pass",
            id="requests exactly twice as slow as the stable quantile are not too slow",
        ),
        row(RULE, cohort(1000, slow=500, bucket=TWICE + 1), STABLE, "Fail", id="requests in the next bucket are"),
        row(MEDIAN, cohort(1000, slow=500), HALF_SLOW, "Pass", id="half the requests may be slower than twice the median"),
        row(MEDIAN, cohort(1000, slow=501), HALF_SLOW, "Fail", id="more than half the requests may not"),
        row(WIDE, cohort(1000, slow=50), STABLE, "Pass", id="a larger ceiling allows more slow requests"),
        row(WIDE, cohort(1000, slow=51), STABLE, "Fail", id="above the larger ceiling it fails"),
        row(NARROW, cohort(1000, slow=10), STABLE, "Pass", id="a smaller ceiling forbids nothing that the quantile allows"),
        row(RULE, cohort(1000, slow=500), cohort(1000, slow=500), "Pass", id="a stable version that is as slow raises the threshold"),
        row(RULE, cohort(99, slow=99), STABLE, "Undecided", id="too few requests prove nothing"),
        row(RULE, cohort(100, slow=99), STABLE, "Fail", id="as many requests as are needed decide"),
        row(RULE, cohort(1000, slow=99, nodes=1), STABLE, "Undecided", id="requests on too few nodes prove nothing"),
        row(RULE, cohort(1000, slow=99), cohort(99), "Undecided", id="a stable quantile of too few requests is nothing to compare with"),
        row(RULE, cohort(1000, slow=99), cohort(100), "Fail", id="a stable quantile of as many requests as are needed is compared with"),
        row(WIDE, cohort(1000), cohort(0), "Undecided", id="a ceiling alone decides nothing without a stable version"),
    ],
)
def test_latency(rule: Rule, candidate: CohortCounters, stable: CohortCounters, expected: str) -> None:
    verdict = LATENCY.judge(rule, candidate, stable)
    assert verdict.verdict == expected, verdict.message


@pytest.mark.parametrize(
    ("candidate", "stable", "rate"),
    [
        row(cohort(99, slow=99), STABLE, 0.0, id="too few requests have no rate yet"),
        row(cohort(1000, slow=99), cohort(0), 0.0, id="without a threshold there is no rate"),
        row(cohort(1000, slow=99), STABLE, 0.099, id="the rate is the share of slow requests"),
    ],
)
def test_the_rate_of_the_candidate(candidate: CohortCounters, stable: CohortCounters, rate: float) -> None:
    verdict = LATENCY.judge(RULE, candidate, stable)
    assert verdict.candidate_rate == rate
    assert verdict.stable_rate == 0.0
    assert verdict.candidate_events == candidate.count("requests")
    assert verdict.stable_events == stable.count("requests")


def test_a_verdict_says_what_was_compared() -> None:
    message = "latency: 9.9 % of 1000 requests on candidate nodes took longer than 6.40 ms (2 × stable p99); at most 1 % is allowed"
    assert LATENCY.judge(RULE, cohort(1000, slow=99), STABLE).message == message
