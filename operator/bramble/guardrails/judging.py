"""What the evidence about a metric that devices count for shows, and what follows from it. Pure."""

from __future__ import annotations

from math import inf, isfinite, log
from typing import NamedTuple

from bramble.evidence.cohorts import together
from bramble.evidence.nodes import state_of
from bramble.evidence.rate import rate_test
from bramble.evidence.ratio import SAME, RatioTest
from bramble.evidence.verdict import Levels, Outcome, in_words, time_in_words
from bramble.guardrails.base import CountedMetric, Rule, Verdict, percent
from bramble.guardrails.evidence import GuardEvidence, Tally, Watched


class Shown(NamedTuple):
    """What one test of a guardrail has shown.

    Attributes:
        nats: its evidence.
        words: what is so once there is enough of it.
    """

    nats: float
    words: str


NOTHING = Shown(-inf, "")
"""Of a rule that has no test of that kind."""


def judge(metric: CountedMetric, rule: Rule, evidence: GuardEvidence, levels: Levels) -> Verdict:
    """Compare the evidence with what a decision needs. A Fail wins over a Pass."""
    if evidence.watched is not None:
        return judge_promoted(metric, rule, evidence, evidence.watched, levels)
    if (missing := metric.unknown(rule, evidence)) is not None:
        return metric.verdict("Undecided", evidence, missing)
    worst = max(against(metric, rule, evidence), key=lambda shown: shown.nats, default=NOTHING)
    fine = passing(metric, rule, evidence)
    best, levels = max(fine, key=lambda shown: shown.nats, default=NOTHING), levels.among(len(fine))
    too_few = metric.too_few(rule, evidence.candidate) or idle(metric, evidence)
    outcome = levels.outcome(worst.nats, best.nats if too_few is None else -inf)
    if outcome == "Undecided" and too_few is not None:
        message = too_few
    else:
        words = {"Fail": worst.words, "Pass": best.words}.get(outcome) or needed(metric, rule, evidence, levels)
        message = f"{metric.numbers(rule, evidence)}; {words}"
    return metric.verdict(outcome, evidence, message, worst.nats / levels.fail_at, best.nats / levels.pass_at)


def idle(metric: CountedMetric, evidence: GuardEvidence) -> str | None:
    """Why the candidate cannot pass while most of its nodes had no event though they should have had some; None where that is not so.

    Its rates are then those of the few nodes that answer: a version that answers nothing has no errors.
    """
    if not evidence.mostly_idle:
        return None
    return f"{evidence.idle} of {evidence.serving} candidate nodes had no {metric.event} so far, though stable nodes did in the same time"


def judge_promoted(metric: CountedMetric, rule: Rule, evidence: GuardEvidence, watched: Watched, levels: Levels) -> Verdict:
    """Whether a promoted version is shown to be worse than it was. It never passes: somebody watches until the watch ends.

    Half of the allowed probability is that of a wrong margin (`Watched.margin`), so the comparison with its own rate takes ln 2 nats more.
    """
    shown = []
    if watched.own is not None and watched.margin is not None and not rule.absolute:
        nats = watched.own - log(2)
        if watched.allowed is not None:
            nats = min(nats, watched.allowed)
        shown.append(Shown(nats, f"shown to be above {watched.margin:.3g} × before"))
    if watched.limit is not None:
        shown.append(Shown(watched.limit, f"shown to be above the limit of {percent(rule.limit or 0.0)}"))
    worst = max(shown, key=lambda each: each.nats, default=NOTHING)
    outcome: Outcome = "Fail" if worst.nats >= levels.fail_at else "Undecided"
    mine, before = evidence.candidate, evidence.stable
    said = f"{percent(mine.share)} of {mine.events} {metric.event} {metric.bad_events(evidence)} in the last hours"
    if rule.absolute:
        words = worst.words if outcome == "Fail" else f"not shown to be above the limit of {percent(rule.limit or 0.0)}"
    elif watched.margin is None:
        known = f"{before.events} of {rule.min_events} {metric.event} so far to know its own rate"
        if watched.known_in is not None:
            known += f" ({time_in_words(watched.known_in)} more at the present rate)"
        words = worst.words if outcome == "Fail" else f"{known}; only the limit is watched" if rule.limit is not None else known
    else:
        said += f", {percent(before.share)} of {before.events} before"
        words = worst.words if outcome == "Fail" else f"not shown to be above {watched.margin:.3g} × before"
    return metric.verdict(outcome, evidence, f"{said}; {words}", worst.nats / levels.fail_at)


def against(metric: CountedMetric, rule: Rule, evidence: GuardEvidence) -> list[Shown]:
    """What shows that the candidate is worse. Where a rate is allowed, it has to be above that as well."""
    shown = []
    if not rule.absolute:
        worse = worse_than_stable(rule, evidence)
        if (allowed := metric.allowed(rule)) is not None:
            worse = min(worse, _above(allowed, evidence.candidate))
        shown.append(Shown(worse, f"shown to be above {_margin(rule, evidence)}"))
    if rule.limit is not None:
        shown.append(Shown(_above(rule.limit, evidence.candidate), f"shown to be above the limit of {percent(rule.limit)}"))
    return shown


def passing(metric: CountedMetric, rule: Rule, evidence: GuardEvidence) -> list[Shown]:
    """What shows that the candidate is fine. A rate that is low enough shows nothing to a rule that asks for better."""
    if rule.better:
        return [Shown(_better(evidence), f"shown to be below stable{_before(evidence)}")]
    shown = []
    if not rule.absolute:
        shown.append(Shown(fine_beside_stable(rule, evidence), f"shown to be below {_margin(rule, evidence)}"))
    rates = [rate for rate in (rule.ceiling, metric.allowed(rule)) if rate]
    return [*shown, *(Shown(below(rate, evidence.candidate), f"shown to be below {percent(rate)}") for rate in rates)]


def needed(metric: CountedMetric, rule: Rule, evidence: GuardEvidence, levels: Levels) -> str:
    """How much evidence is still needed for a pass, in words: by an unchanged version, or by one that is better by as much as it seems."""
    mine, seconds = evidence.candidate, evidence.seconds or 1.0
    bad_events, per_second = f"{metric.event} that {metric.happened}", (mine.bad + evidence.stable.bad) / seconds
    if rule.better:
        more = levels.more_bad_events(SAME, _better(evidence), evidence.share, evidence.spread, _seen_ratio(evidence))
        if not isfinite(more):
            return "at these rates no amount of evidence can show that it is below stable, as better asks"
        return _spent(more, evidence, bad_events) or f"{in_words(more, bad_events, per_second)} are needed to show that it is below stable"
    ways, spent = [], ""
    if not rule.absolute:
        more, per_second = _more_beside_stable(rule, evidence, levels)
        spent = _spent(more, evidence, bad_events)
        ways.append((inf if spent else more, bad_events, per_second))
    for rate in (rule.ceiling, metric.allowed(rule)):
        if rate:
            more = levels.more_events(rate_test(rate), below(rate, mine), mine.share)
            ways.append((more, metric.event, mine.events / seconds))
    if not ways:
        return f"not shown to be above the limit of {percent(rule.limit or 0.0)}"
    more, event, per_second = min(ways, key=lambda way: way[0] / way[2] if way[2] else inf)
    if not isfinite(more):
        if spent or rule.ceiling:
            return (
                spent or "at these rates no amount of evidence can show that it is fine: it is above the ceiling, and nodes differ too much"
            )
        return "no amount of evidence can show that it is fine: set a ceiling, or wider margins"
    return f"{in_words(more, event, per_second)} are needed"


def _more_beside_stable(rule: Rule, evidence: GuardEvidence, levels: Levels) -> tuple[float, float]:
    """How many more bad events of both cohorts the comparison with the stable version needs, and how many there are in a second.

    Where it is compared with the stable version's history, that has as many as the candidate.
    """
    test, fine, seconds = RatioTest(rule.max_ratio), fine_beside_stable(rule, evidence), evidence.seconds or 1.0
    if evidence.left is None:
        return levels.more_bad_events(test, fine, evidence.share, evidence.spread), (evidence.candidate.bad + evidence.stable.bad) / seconds
    return levels.more_bad_events(test, fine, 0.5, evidence.spread), 2 * evidence.candidate.bad / seconds


def _spent(more: float, evidence: GuardEvidence, bad_events: str) -> str:
    """That the history which the candidate is compared with is used up before so many more bad events; empty where it is not."""
    if evidence.left is None or not evidence.left < more / 2 < inf:
        return ""
    about = f"{in_words(more / 2, bad_events, 0)} of either version are needed"
    return f"{about}, and what the stable version counted before has {evidence.left:.0f} left: set a ceiling, or request skip"


def _margin(rule: Rule, evidence: GuardEvidence) -> str:
    return f"{rule.max_ratio:g} × stable{_before(evidence)}"


def _before(evidence: GuardEvidence) -> str:
    return " before" if evidence.frozen else ""


def worse_than_stable(rule: Rule, evidence: GuardEvidence) -> float:
    """What the comparison with the stable version shows that the candidate is worse, in nats."""
    test = RatioTest(rule.max_ratio)
    return float(together(test.worse(state_of(test, evidence.ratio), evidence.spread), evidence.single))


def fine_beside_stable(rule: Rule, evidence: GuardEvidence) -> float:
    """What the comparison with the stable version shows that the candidate is fine, in nats."""
    test = RatioTest(rule.max_ratio)
    return float(test.fine(state_of(test, evidence.ratio), evidence.spread))


def more_good_events(levels: Levels, rate: float, seen: Tally) -> int:
    """How many more events, none of them bad, show that the candidate is below a rate."""
    least, most = seen.events, max(seen.events, round(1 / rate))
    while below(rate, seen.model_copy(update={"events": most})) < levels.pass_at:
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        if below(rate, seen.model_copy(update={"events": middle})) < levels.pass_at:
            least = middle
        else:
            most = middle
    return most - seen.events


def _better(evidence: GuardEvidence) -> float:
    return float(SAME.fine(state_of(SAME, evidence.better or ()), evidence.spread))


def _seen_ratio(evidence: GuardEvidence) -> float:
    """The candidate's rate as a multiple of the stable one, each node compared with its own history; 1 where the stable one is 0."""
    expected, others = evidence.share * evidence.stable.bad, 1 - evidence.share
    return evidence.candidate.bad * others / expected if expected else 1.0


def _above(rate: float, seen: Tally) -> float:
    test = rate_test(rate)
    return float(test.above(test.look(test.start(), seen.bad, seen.events)))


def below(rate: float, seen: Tally) -> float:
    """What shows that the rate is below this one, in nats."""
    test = rate_test(rate)
    return float(test.below(test.look(test.start(), seen.bad, seen.events)))
