"""What memory keeps of an attempt that has ended, and which budget it took from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bramble.api.conditions import rfc3339
from bramble.contracts.cause import Cause
from bramble.contracts.exit_codes import ExitCode
from bramble.kinds.jobs.state import COUNTS_AS, CountsAs
from bramble.kinds.trainingrun.causes import job_failed
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import DISRUPTIONS_SPENT, FAILURES_SPENT, told_cause

STALLS_ALLOWED = 2
"""The third attempt in a row that asks to be tried again without having got further is a failure (design, §4)."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What an ended attempt costs.

    Attributes:
        memory: the counters after it, by their Python names.
        over: why no attempt follows: a condition's reason; empty when one does.
        message: what happened, and what to do.
    """

    memory: dict[str, Any]
    over: str
    message: str


def ended_attempt(seen: Observed, now: datetime) -> dict[str, Any]:
    """Memory of an attempt that runs no more, however it ended."""
    current, progress = seen.status.current, seen.attempt.progress if seen.attempt is not None else None
    return {
        "current": None,
        "spent_seconds": seen.status.spent_seconds + _elapsed(seen, now) if current is not None else seen.status.spent_seconds,
        "ended_at": rfc3339(now),
        "epoch": max(seen.status.epoch, progress.epoch if progress is not None else 0),
    }


def _elapsed(seen: Observed, now: datetime) -> int:
    """Seconds that the attempt's Job ran; 0 for one that never started (Kueue held it back).

    To its own end where it says one: the clock here may be behind the one that the Job's deadline was measured by, and would leave a
    second or two of it for ever.
    """
    job = seen.attempt.job if seen.attempt is not None else None
    if job is None or job.started is None:
        return 0
    return max(0, int(((job_failed(job) or now) - job.started).total_seconds()))


def charge(seen: Observed, cause: Cause) -> Charge:
    """Take the attempt from the budget that its cause belongs to."""
    status, budgets = seen.status, seen.spec.budgets
    counts, stalls = _counts(seen, cause)
    failures = status.failures + (counts == "failure")
    disruptions = status.disruptions + (counts == "disruption")
    memory = {"failures": failures, "disruptions": disruptions, "stalls": stalls, "first_cause": cause}
    told = f"attempt {status.attempt} ended: {told_cause(cause)}"
    if counts == "final":
        return Charge(memory, cause.kind, f"{told}. No retry can mend that: correct it, then request a retry or make another TrainingRun")
    if failures > budgets.failures:
        spent = f"{budgets.failures} failed attempts are allowed (spec.budgets.failures) and {failures} failed"
        return Charge(memory, FAILURES_SPENT, f"{told}. {spent}: mend the cause, then raise the budget or request a retry")
    if disruptions > budgets.disruptions:
        spent = f"{budgets.disruptions} disruptions are allowed (spec.budgets.disruptions) and there were {disruptions}"
        return Charge(memory, DISRUPTIONS_SPENT, f"{told}. {spent}: raise the budget or request a retry")
    left = f"{budgets.failures - failures} failures and {budgets.disruptions - disruptions} disruptions are left"
    return Charge(memory, "", f"{told}. Attempt {status.attempt + 1} follows; {left}")


def _counts(seen: Observed, cause: Cause) -> tuple[CountsAs, int]:
    """Which budget, and the stalls in a row so far."""
    counts = COUNTS_AS[cause.kind]
    if cause.kind != "TryAgain" or cause.exit_code != ExitCode.TRY_AGAIN:
        return counts, 0
    progress = seen.attempt.progress if seen.attempt is not None else None
    if progress is not None and progress.epoch > seen.status.epoch:
        return counts, 0
    stalls = seen.status.stalls + 1
    return ("failure", 0) if stalls > STALLS_ALLOWED else (counts, stalls)
