"""Attempts at a step are counted, and their budgets end."""

from __future__ import annotations

import pytest

from bramble.api.modelversion import Conversion
from bramble.api.objects import StepAttempts
from bramble.kinds.jobs.attempts import Budgets, charge, is_exhausted, next_attempt, with_fresh_budgets
from bramble.kinds.jobs.state import CountsAs

SOME = Conversion(attempt=4, failures=1, disruptions=2, state="Running")


@pytest.mark.parametrize(
    ("counts_as", "failures", "disruptions"),
    [
        pytest.param("failure", 2, 2, id="a failure is charged to the failures"),
        pytest.param("disruption", 1, 3, id="a disruption is charged to the disruptions"),
        pytest.param("final", 1, 2, id="a final failure is charged to neither"),
    ],
)
def test_charge(counts_as: CountsAs, failures: int, disruptions: int) -> None:
    charged = charge(SOME, counts_as)
    assert charged == SOME.model_copy(update={"failures": failures, "disruptions": disruptions})


@pytest.mark.parametrize(
    ("attempts", "counts_as", "exhausted"),
    [
        pytest.param(StepAttempts(failures=1), "failure", False, id="a budget of two survives one failure"),
        pytest.param(StepAttempts(failures=2), "failure", False, id="a budget of two survives two failures"),
        pytest.param(StepAttempts(failures=3), "failure", True, id="a budget of two does not survive three failures"),
        pytest.param(StepAttempts(disruptions=4), "disruption", False, id="a budget of four survives four disruptions"),
        pytest.param(StepAttempts(disruptions=5), "disruption", True, id="a budget of four does not survive five disruptions"),
        pytest.param(StepAttempts(failures=2, disruptions=4), "disruption", False, id="the budgets are counted apart"),
        pytest.param(StepAttempts(), "final", True, id="no budget survives a final failure"),
    ],
)
def test_budgets(attempts: StepAttempts, counts_as: CountsAs, exhausted: bool) -> None:
    assert is_exhausted(attempts, counts_as, Budgets(failures=2, disruptions=4)) is exhausted


def test_a_step_survives_two_failures_and_two_disruptions() -> None:
    assert not is_exhausted(StepAttempts(failures=2, disruptions=2), "failure")
    assert is_exhausted(StepAttempts(failures=3), "failure")
    assert is_exhausted(StepAttempts(disruptions=3), "disruption")


def test_the_next_attempt_keeps_what_was_charged() -> None:
    assert next_attempt(SOME) == SOME.model_copy(update={"attempt": 5})


def test_fresh_budgets_have_nothing_charged() -> None:
    assert with_fresh_budgets(SOME) == Conversion(attempt=5, state="Running")
