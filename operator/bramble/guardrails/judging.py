"""What the evidence about a metric that devices count for shows, and what follows from it. Pure."""

from __future__ import annotations

from math import inf, isfinite
from typing import NamedTuple

from bramble.evidence.cohorts import together
from bramble.evidence.nodes import state_of
from bramble.evidence.rate import RateTest
from bramble.evidence.ratio import RatioTest, State
from bramble.evidence.verdict import Levels, in_words
from bramble.guardrails.base import CountedMetric, Rule, Verdict, percent
from bramble.guardrails.evidence import GuardEvidence, Tally

TINY = 1e-9
"""How near to 0 and to 1 a rate may be that is tested."""


class Shown(NamedTuple):
    """What one test of a guardrail has shown.

    Attributes:
        nats: its evidence.
        words: what is so once there is enough of it.
    """

    nats: float
    words: str


def judge(metric: CountedMetric, rule: Rule, evidence: GuardEvidence, levels: Levels) -> Verdict:
    """Compare the evidence with what a decision needs. A Fail wins over a Pass."""
    if (missing := metric.unknown(rule, evidence)) is not None:
        return metric.verdict("Undecided", evidence, missing)
    worst = max(against(metric, rule, evidence), key=lambda shown: shown.nats)
    best = max(passing(metric, rule, evidence), key=lambda shown: shown.nats)
    too_few = metric.too_few(rule, evidence.candidate)
    outcome = levels.outcome(worst.nats, best.nats if too_few is None else -inf)
    if outcome == "Undecided" and too_few is not None:
        message = too_few
    else:
        words = {"Fail": worst.words, "Pass": best.words}.get(outcome) or needed(metric, rule, evidence, levels)
        message = f"{metric.numbers(evidence)}; {words}"
    return metric.verdict(outcome, evidence, message, worst.nats / levels.fail_at, best.nats / levels.pass_at)


def against(metric: CountedMetric, rule: Rule, evidence: GuardEvidence) -> list[Shown]:
    """What shows that the candidate is worse. Where a rate is allowed, it has to be above that as well."""
    test, state = _ratio(rule, evidence)
    worse = float(together(test.worse(state, evidence.spread), evidence.single))
    if (allowed := metric.allowed(rule)) is not None:
        worse = min(worse, _above(allowed, evidence.candidate))
    shown = [Shown(worse, f"shown to be above {_margin(rule, evidence)}")]
    if rule.limit is not None:
        shown.append(Shown(_above(rule.limit, evidence.candidate), f"shown to be above the limit of {percent(rule.limit)}"))
    return shown


def passing(metric: CountedMetric, rule: Rule, evidence: GuardEvidence) -> list[Shown]:
    """What shows that the candidate is fine."""
    test, state = _ratio(rule, evidence)
    shown = [Shown(float(test.fine(state, evidence.spread)), f"shown to be below {_margin(rule, evidence)}")]
    rates = [rate for rate in (rule.ceiling, metric.allowed(rule)) if rate]
    return [*shown, *(Shown(_below(rate, evidence.candidate), f"shown to be below {percent(rate)}") for rate in rates)]


def needed(metric: CountedMetric, rule: Rule, evidence: GuardEvidence, levels: Levels) -> str:
    """How much evidence an unchanged version would still need to pass, in words."""
    test, state = _ratio(rule, evidence)
    mine, seconds = evidence.candidate, evidence.seconds or 1.0
    fine = float(test.fine(state, evidence.spread))
    more = levels.more_bad_events(test, fine, evidence.share, evidence.spread)
    ways = [(more, f"{metric.event} that {metric.happened}", (mine.bad + evidence.stable.bad) / seconds)]
    for rate in (rule.ceiling, metric.allowed(rule)):
        if rate:
            more = levels.more_events(_rate_test(rate), _below(rate, mine), mine.share)
            ways.append((more, metric.event, mine.events / seconds))
    more, event, per_second = min(ways, key=lambda way: way[0] / way[2] if way[2] else inf)
    if not isfinite(more):
        return "no amount of evidence can show that it is fine: set a ceiling, or wider margins"
    return f"{in_words(more, event, per_second)} are needed"


def _margin(rule: Rule, evidence: GuardEvidence) -> str:
    return f"{rule.max_ratio:g} × stable{' before' if evidence.frozen else ''}"


def _ratio(rule: Rule, evidence: GuardEvidence) -> tuple[RatioTest, State]:
    test = RatioTest(rule.max_ratio)
    return test, state_of(test, evidence.ratio)


def _rate_test(rate: float) -> RateTest:
    return RateTest(min(max(rate, TINY), 1 - TINY))


def _above(rate: float, seen: Tally) -> float:
    test = _rate_test(rate)
    return float(test.above(test.look(test.start(), seen.bad, seen.events)))


def _below(rate: float, seen: Tally) -> float:
    test = _rate_test(rate)
    return float(test.below(test.look(test.start(), seen.bad, seen.events)))
