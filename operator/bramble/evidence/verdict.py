"""From evidence to a decision, and how much evidence is still needed for one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, inf, log, log1p
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bramble.evidence.rate import RateTest
    from bramble.evidence.ratio import RatioTest

MINUTE, HOUR, DAY = 60, 3600, 86400

Outcome = Literal["Pass", "Fail", "Undecided"]


@dataclass(frozen=True, kw_only=True)
class Levels:
    """The probabilities of wrong decisions that a rollout allows.

    Attributes:
        false_rollback: α: the most probable that an unchanged version is undone, over the whole rollout and all its guardrails.
        false_promotion: β: the most probable that a guardrail passes although its rate is at the margin or above.
        guardrails: M: among how many guardrails α is divided (Bonferroni). A promotion needs all of them, so β is not divided.
    """

    false_rollback: float
    false_promotion: float
    guardrails: int

    @property
    def fail_at(self) -> float:
        """The evidence that undoes a candidate, in nats: ln(M / α)."""
        return log(self.guardrails / self.false_rollback)

    @property
    def pass_at(self) -> float:
        """The evidence that passes a guardrail, in nats: ln(1 / β)."""
        return log(1 / self.false_promotion)

    def among(self, ways: int) -> Levels:
        """The levels of a guardrail that passes by any of so many tests: each has its part of β (Bonferroni)."""
        return replace(self, false_promotion=self.false_promotion / max(1, ways))

    def p_at(self, looks: int) -> float:
        """The probability below which a test at one of so many fixed looks undoes a candidate."""
        return self.false_rollback / self.guardrails / looks

    def pass_p_at(self, looks: int) -> float:
        """The probability below which a test at one of so many fixed looks passes a guardrail."""
        return self.false_promotion / looks

    def outcome(self, worse: float, fine: float) -> Outcome:
        """The verdict of one guardrail. Where both are reached it is a Fail.

        Args:
            worse: evidence that the candidate is worse, in nats.
            fine: evidence that it is fine, in nats.
        """
        if worse >= self.fail_at:
            return "Fail"
        return "Pass" if fine >= self.pass_at else "Undecided"

    def more_bad_events(self, test: RatioTest, fine: float, share: float, spread: float = 0.0, ratio: float = 1.0) -> float:
        """How many more bad events, of both cohorts, a version is expected to need until it passes; infinite if it never can.

        Args:
            fine: the evidence so far, in nats.
            share: the candidate's share of expected bad events.
            spread: as for `RatioTest.fine`.
            ratio: of the version's rate and the stable one; 1 for an unchanged version.
        """
        if self.pass_at <= fine:
            return 0
        if not 0 < share < 1 or ratio >= test.margin or test.most_fine(spread, ratio) < self.pass_at:
            return inf
        true, at_margin = (each * share / (1 + share * (each - 1)) for each in (ratio, test.margin))
        return _until(self.pass_at - fine, true, at_margin)

    def more_events(self, test: RateTest, below: float, rate: float) -> float:
        """How many more events a candidate with this rate of bad ones is expected to need until it is shown to be below the ceiling.

        Infinite if its rate is the ceiling or more.

        Args:
            below: the evidence so far, in nats.
            rate: bad events per event, as observed.
        """
        if self.pass_at <= below:
            return 0
        return _until(self.pass_at - below, rate, test.rate) if rate < test.rate else inf


def _until(missing: float, true: float, refuted: float) -> float:
    """How many events bring the missing evidence on average: it, divided by the relative entropy of the two probabilities.

    Probabilities so near to each other that no difference is left of their logarithms are never told apart.
    """
    gained = (true * log(true / refuted) if true > 0 else 0.0) + (1 - true) * (log1p(-true) - log1p(-refuted))
    return ceil(missing / gained) if gained > 0 else inf


def in_words(more: float, event: str, per_second: float) -> str:
    """How much is still needed, as in "about 90 more errors or 40 minutes".

    Args:
        more: how many more events; not infinite.
        event: what they are, in the plural.
        per_second: how many of them there are at present; without any, no time is said.
    """
    # Two significant digits: the number is an expectation.
    digits = max(0, len(str(ceil(more))) - 2)
    number = f"about {ceil(more / 10**digits) * 10**digits:,} more {event}"
    return f"{number} or {time_in_words(more / per_second)}" if per_second > 0 else number


def time_in_words(seconds: float) -> str:
    """A duration in its largest fitting unit; less than two of that unit are told in the next smaller one."""
    for unit, length in (("days", DAY), ("hours", HOUR), ("minutes", MINUTE)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return "less than two minutes"
