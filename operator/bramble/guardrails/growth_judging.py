"""What looks at the memory of nodes show, and what follows from it. Pure."""

from __future__ import annotations

from math import log
from typing import SupportsFloat

from bramble.evidence.growth import FAIL_HOURS, FAILING_LOOKS, LOOK_HOURS, by_chance, least_by_chance
from bramble.evidence.verdict import HOUR, Levels, Outcome, time_in_words
from bramble.guardrails.base import Rule, Verdict
from bramble.guardrails.evidence import Growth, GrowthLook, GuardEvidence
from bramble.guardrails.growth import DEFAULT_GROWTH, GrowthMetric
from bramble.guardrails.judging import Shown

WAYS = 2
"""Tests that may pass a candidate at a look (`passing`). β is divided among them."""

LEAST = 1e-300
"""Probabilities below this are told as this."""


def judge(metric: GrowthMetric, rule: Rule, evidence: GuardEvidence, levels: Levels) -> Verdict:
    """Compare the looks with what a decision needs. A Fail wins over a Pass."""
    growth = evidence.growth or Growth()
    if not growth.looks:
        return metric.verdict("Undecided", evidence, _awaited(growth))
    last, done = growth.looks[-1], len(growth.looks) >= len(LOOK_HOURS)
    worst = max((each for look in growth.looks for each in against(rule, look)), key=lambda shown: shown.nats, default=Shown(0.0, ""))
    enough = [look for look in growth.looks if look.canaries >= rule.min_nodes]
    best = max((each for look in enough for each in passing(rule, look)), key=lambda shown: shown.nats, default=Shown(0.0, ""))
    fail_at, pass_at = -log(levels.p_at(FAILING_LOOKS)), -log(levels.among(WAYS).pass_p_at(len(LOOK_HOURS)))
    outcome: Outcome
    if worst.nats >= fail_at:
        outcome, words = "Fail", worst.words
    elif best.nats >= pass_at:
        outcome, words = "Pass", best.words
    elif done and enough:
        outcome, words = "Pass", f"no faster growth was shown up to the last look, over {last.hours:g} h"
    else:
        outcome, words = "Undecided", _awaited(growth) if not done else f"fewer than {rule.min_nodes} candidate nodes took part in a look"
        if rule.growth_limit is None and _nats(least_by_chance(last.draws)) < fail_at:
            words += "; too few nodes to show faster growth: set growthLimit"
    verdict = metric.verdict(outcome, evidence, f"{_numbers(last)}; {words}", worst.nats / fail_at, 1.0 if done else best.nats / pass_at)
    return verdict.model_copy(update={"candidate_rate": round(last.candidate, 3), "stable_rate": round(last.stable, 3)})


def against(rule: Rule, look: GrowthLook) -> list[Shown]:
    """What shows at a look that the candidate's memory grows too fast, and goes on to do so.

    One of several canaries may have its growth from elsewhere.
    """
    if look.hours < FAIL_HOURS:
        return []
    steep = look.steep if look.steep > 1 or look.canaries == 1 else 0
    over = f"{look.hours:g} h"
    shown = []
    if look.lasting_more > _allowed(rule):
        shown.append(
            Shown(_nats(by_chance(look.draws, steep)), f"over {over} shown to grow faster by more than {_per_hour(_allowed(rule))}")
        )
    if rule.growth_limit is not None and look.lasting > rule.growth_limit:
        shown.append(Shown(_nats(look.over), f"over {over} shown to grow by more than the limit of {_per_hour(rule.growth_limit)}"))
    return shown


def passing(rule: Rule, look: GrowthLook) -> list[Shown]:
    """What shows at a look that the candidate's memory does not grow too fast."""
    words = f"over {look.hours:g} h shown to grow by less than {_per_hour(_allowed(rule))}"
    return [Shown(_nats(by_chance(look.draws, look.flat)), f"{words} more"), Shown(_nats(look.under), words)]


def _allowed(rule: Rule) -> float:
    return rule.allowed_growth if rule.allowed_growth is not None else DEFAULT_GROWTH


def _awaited(growth: Growth) -> str:
    """What is still needed."""
    if not growth.reporting:
        return f"none of {growth.serving} candidate nodes has reported its memory yet; agents of earlier releases do not"
    hours = LOOK_HOURS[min(len(growth.looks), len(LOOK_HOURS) - 1)]
    soon = f" in about {time_in_words(growth.wait_hours * HOUR)}" if growth.wait_hours else " soon"
    return f"the next look, over {hours:g} h, comes{soon}"


def _numbers(look: GrowthLook) -> str:
    """Both cohorts' growth."""
    theirs = f", of {look.nodes - look.canaries} stable nodes by {_per_hour(look.stable)}" if look.nodes > look.canaries else ""
    return f"memory of {look.canaries} candidate nodes grew by {_per_hour(look.candidate)}{theirs} (medians)"


def _per_hour(growth: float) -> str:
    return f"{growth:.3g} MiB an hour"


def _nats(probability: SupportsFloat) -> float:
    """The evidence of a probability."""
    return -log(max(LEAST, min(1.0, float(probability))))
