"""All guardrails together, and what is filled in for a guardrail that leaves something out."""

from __future__ import annotations

import pytest

from bramble.api.guardrail import Guardrail
from bramble.api.rollout import Analysis
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import Away, GuardEvidence
from bramble.kinds.rollout.analysis import ALWAYS, ErrorRates, absolute, error_rates, judge, rule_of
from tests.unit.guardrails.cohort import counted

row = pytest.param
ERRORS = Rule(metric="errors", max_ratio=2, min_events=100, min_nodes=1)
ACCURACY = Rule(metric="accuracy", max_ratio=2, min_events=100, min_nodes=1)
RATES = ErrorRates(false_rollback=0.01, false_promotion=0.05)
SILENT = GuardEvidence(metric="lost", away=Away(candidate=2, canaries=2, stable=0, others=3))
FINE, BAD, OPEN = (100, 10_000), (500, 10_000), (1, 100)
STABLE = (900, 90_000)


def seen(**metrics: tuple[int, int]) -> list[GuardEvidence]:
    return [counted(metric, candidate, STABLE) for metric, candidate in metrics.items()]


@pytest.mark.parametrize(
    ("rules", "lost", "others", "expected"),
    [
        row([], GuardEvidence(metric="lost"), [], "Pass", id="without guardrails only silence is judged"),
        row([], SILENT, [], "Fail", id="silence fails without any guardrail"),
        row([ERRORS, ACCURACY], GuardEvidence(metric="lost"), seen(errors=FINE, accuracy=FINE), "Pass", id="all pass"),
        row([ERRORS, ACCURACY], GuardEvidence(metric="lost"), seen(errors=FINE, accuracy=OPEN), "Undecided", id="one is undecided"),
        row(
            [ERRORS, ACCURACY], GuardEvidence(metric="lost"), seen(errors=BAD, accuracy=OPEN), "Fail", id="one fails, another is undecided"
        ),
    ],
)
def test_the_verdict_of_all_guardrails(rules: list[Rule], lost: GuardEvidence, others: list[GuardEvidence], expected: str) -> None:
    judgement = judge((*ALWAYS, *rules), (lost, *others), RATES)
    assert judgement.verdict == expected, judgement
    assert [verdict.metric for verdict in judgement.guardrails] == ["lost", *(rule.metric for rule in rules)]


def test_each_guardrail_needs_more_evidence_where_there_are_more() -> None:
    evidence = counted("errors", (30, 1000), (90, 9000))
    one = judge((ERRORS,), (evidence,), RATES).guardrails[0].to_fail
    four = judge((ERRORS,) * 4, (evidence,) * 4, RATES).guardrails[0].to_fail
    assert 0 < four < one < 1


def test_a_guardrail_that_leaves_everything_out_gets_the_documented_defaults() -> None:
    assert rule_of(Guardrail(metric="errors")) == Rule(metric="errors", max_ratio=1.5, min_events=400, min_nodes=1)
    assert error_rates(Analysis()) == RATES


def test_a_guardrail_keeps_what_it_says() -> None:
    guardrail = Guardrail(metric="latency", quantile="0.9", max_ratio="2", ceiling="0.1", limit="0.5", min_events=7, min_nodes=3)
    expected = Rule(metric="latency", quantile=0.9, max_ratio=2, ceiling=0.1, limit=0.5, min_events=7, min_nodes=3)
    assert rule_of(guardrail) == expected
    assert error_rates(Analysis(false_rollback_rate="0.1", false_promotion_rate="0.2")) == ErrorRates(
        false_rollback=0.1, false_promotion=0.2
    )


def test_a_ceiling_of_an_earlier_release_that_is_zero_is_none() -> None:
    assert rule_of(Guardrail(metric="errors", ceiling="0")).ceiling is None


def test_a_margin_of_an_earlier_release_below_one_is_one() -> None:
    assert rule_of(Guardrail(metric="errors", max_ratio="0.5")).max_ratio == 1


def test_a_limit_of_0_is_judged_without_a_stable_version() -> None:
    (rule,) = absolute([rule_of(Guardrail(metric="accuracy", limit="0"))])
    assert rule.limit == 0
