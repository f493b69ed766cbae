from __future__ import annotations

from math import log

import pytest

from bramble.evidence.losses import moment, most_are_lost
from bramble.evidence.ratio import RatioTest

FAIL = log(2 / 0.01)


def evidence(*moments: tuple[int, int], share: float = 0.1) -> float:
    """What these moments show, each with so many lost canaries and stable nodes."""
    test = RatioTest(1.5)
    state = test.start()
    for candidate, stable in moments:
        seen = moment(candidate, stable)
        state = test.look(state, seen.candidate, seen.total, share)
    return float(test.worse(state))


def test_a_site_that_goes_offline_is_one_event() -> None:
    assert moment(2, 18).total == pytest.approx(20 / 18)
    assert evidence((5, 15)) < FAIL / 2, "also where it has half of the canaries"


def test_canaries_that_fall_silent_alone_are_found() -> None:
    assert evidence((5, 0)) > FAIL
    assert evidence((1, 0), (1, 0), (1, 0), (1, 0), (1, 0)) > FAIL
    assert evidence((9, 1)) > FAIL, "also where a stable node falls silent with them"


def test_single_silences_show_nothing() -> None:
    assert evidence((1, 0), (0, 1), (0, 1), (1, 0), *[(0, 1)] * 10) < FAIL / 2


@pytest.mark.parametrize(
    ("lost", "canaries", "stable_lost", "stable", "expected"),
    [
        (1, 1, 0, 9, False),
        (1, 2, 0, 9, False),
        (2, 2, 0, 9, True),
        (5, 10, 0, 90, True),
        (4, 10, 0, 90, False),
        (5, 10, 45, 90, False),
        (60, 100, 0, 0, True),
    ],
)
def test_half_of_the_canaries_need_no_test(lost: int, canaries: int, stable_lost: int, stable: int, expected: bool) -> None:
    assert most_are_lost(lost, canaries, stable_lost, stable) is expected
