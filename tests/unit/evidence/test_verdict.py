from __future__ import annotations

from math import inf, log

import numpy as np
import pytest

from bramble.evidence.rate import RateTest
from bramble.evidence.ratio import RatioTest
from bramble.evidence.verdict import Levels, in_words

LEVELS = Levels(false_rollback=0.01, false_promotion=0.05, guardrails=2)


@pytest.mark.parametrize(
    ("worse", "fine", "expected"),
    [
        (0, 0, "Undecided"),
        (log(199), 0, "Undecided"),
        (log(201), 0, "Fail"),
        (0, log(21), "Pass"),
        (log(201), log(21), "Fail"),
        (-9, log(19), "Undecided"),
    ],
)
def test_what_is_decided(worse: float, fine: float, expected: str) -> None:
    assert LEVELS.outcome(worse, fine) == expected


def test_what_is_still_needed_is_what_unchanged_versions_need() -> None:
    test, random = RatioTest(1.5), np.random.default_rng(3)
    promised = LEVELS.more_bad_events(test, 0, 0.1)
    needed = []
    for _ in range(100):
        state, events = test.start(), 0
        while test.fine(state) < LEVELS.pass_at:
            state, events = test.look(state, random.binomial(10, 0.1), 10, 0.1), events + 10
        needed.append(events)
    assert promised == pytest.approx(float(np.mean(needed)), rel=0.35)


@pytest.mark.parametrize(("margin", "share", "spread"), [(1.5, 0.0, 0.0), (1.5, 1.0, 0.0), (1.0, 0.1, 0.0), (1.5, 0.1, 0.5)])
def test_a_step_that_can_never_decide_says_so(margin: float, share: float, spread: float) -> None:
    assert LEVELS.more_bad_events(RatioTest(margin), 0, share, spread) == inf


def test_what_a_ceiling_still_needs() -> None:
    test = RateTest(0.01)
    assert LEVELS.more_events(test, LEVELS.pass_at, 0.5) == 0
    assert LEVELS.more_events(test, 0, 0.01) == inf
    assert 200 < LEVELS.more_events(test, 0, 0.0) < LEVELS.more_events(test, 0, 0.005) < inf


@pytest.mark.parametrize("rate", [0.01, 0.1, 1 / 3, 0.5])
def test_a_rate_that_cannot_be_told_from_the_ceiling_never_passes(rate: float) -> None:
    """The difference of the logarithms was once rounded to zero, and divided by."""
    assert LEVELS.more_events(RateTest(rate), 0, np.nextafter(rate, 0.0)) > 1e12


@pytest.mark.parametrize(
    ("more", "per_second", "expected"),
    [
        (90, 90 / 2400, "about 90 more errors or 40 minutes"),
        (1234, 1, "about 1,300 more errors or 21 minutes"),
        (7, 1, "about 7 more errors or less than two minutes"),
        (7, 0, "about 7 more errors"),
        (7, 7 / (5 * 3600), "about 7 more errors or 5 hours"),
        (7, 7 / (5 * 86400), "about 7 more errors or 5 days"),
    ],
)
def test_in_words(more: float, per_second: float, expected: str) -> None:
    assert in_words(more, "errors", per_second) == expected
