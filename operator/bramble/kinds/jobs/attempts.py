"""Counts the attempts at a step and decides whether another one may follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from bramble.api.objects import StepAttempts
from bramble.kinds.jobs.state import CountsAs

Attempts = TypeVar("Attempts", bound=StepAttempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """How many attempts at a step may fail and be repeated.

    Attributes:
        failures: attempts that may fail by their own fault.
        disruptions: attempts that something outside may end, such as a lost node.
    """

    failures: int
    disruptions: int


STEP_BUDGETS = Budgets(failures=2, disruptions=2)
"""Of snapshots, conversions, benchmarks and evaluations. A TrainingRun's attempts have the budgets of its spec."""


def charge(attempts: Attempts, counts_as: CountsAs) -> Attempts:
    """The counters after one more attempt has failed. A final failure is charged to no budget, since no attempt follows it."""
    failures = attempts.failures + (counts_as == "failure")
    disruptions = attempts.disruptions + (counts_as == "disruption")
    return attempts.model_copy(update={"failures": failures, "disruptions": disruptions})


def is_exhausted(attempts: StepAttempts, counts_as: CountsAs, budgets: Budgets = STEP_BUDGETS) -> bool:
    """Whether no further attempt may follow: the last failure was final, or more attempts ended than a budget allows.

    Args:
        attempts: the counters after `charge`.
        counts_as: what the last failure counted as.
    """
    return counts_as == "final" or attempts.failures > budgets.failures or attempts.disruptions > budgets.disruptions


def next_attempt(attempts: Attempts) -> Attempts:
    """The next attempt under the same budgets."""
    return attempts.model_copy(update={"attempt": attempts.attempt + 1})


def with_fresh_budgets(attempts: Attempts) -> Attempts:
    """The next attempt with nothing charged yet, as after a changed spec or a request."""
    return attempts.model_copy(update={"attempt": attempts.attempt + 1, "failures": 0, "disruptions": 0})
