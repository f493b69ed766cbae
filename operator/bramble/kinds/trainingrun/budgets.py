"""What an ended attempt costs, and what is left of the run's budgets. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bramble.api.conditions import rfc3339
from bramble.api.schema import seconds
from bramble.api.trainingrun import Outcome, OutputSeen, Spec
from bramble.contracts.cause import Cause, describe_cause
from bramble.contracts.exit_codes import ExitCode
from bramble.kinds.jobs.state import COUNTS_AS, CountsAs
from bramble.kinds.trainingrun.attempt import Waiting
from bramble.kinds.trainingrun.kept_output import advice
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import DEADLINE_EXCEEDED, DISRUPTIONS_SPENT, FAILURES_SPENT, outcome

STALLS_ALLOWED = 2
"""How many attempts in a row may ask to be tried again without getting further. One more is a failure."""


OTHER_ADVICE = (
    "Another attempt would fail in the same way: make another TrainingRun with the right spec or, if the image or the store was wrong,"
    " correct that and request a retry"
)


@dataclass(frozen=True, slots=True)
class Charge:
    """What an ended attempt costs.

    Attributes:
        memory: the counters after it, by their Python names.
        reason: the condition reason if no attempt follows; empty if one does.
        message: what happened, and what to do.
    """

    memory: dict[str, Any]
    reason: str
    message: str


def close_attempt(seen: Observed, now: datetime) -> dict[str, Any]:
    """The memory fields that change when the present attempt ends, however it ends."""
    reached = seen.progress.epoch if seen.progress is not None else 0
    return {
        "current": None,
        "spent_seconds": seen.status.spent_seconds + _elapsed(seen, now),
        "ended_at": rfc3339(now),
        "epoch": max(seen.status.epoch, reached),
        "released": None,
    }


def _elapsed(seen: Observed, now: datetime) -> int:
    """How many seconds the attempt's Job has run; 0 while not every rank runs, and if it never started, as when Kueue held it back.

    If the Job has failed, its own times count. The clock here may be behind the one that enforced the Job's deadline: then a second or two
    of the deadline would seem to be left for ever.
    """
    job = seen.job
    if job is None or job.started is None or isinstance(seen.state, Waiting):
        return 0
    failed_at = job.failure.at if job.failure is not None else None
    return max(0, int(((failed_at or now) - job.started).total_seconds()))


def charge(seen: Observed, cause: Cause, output: OutputSeen | None = None) -> Charge:
    """Charge the attempt to the budget that its cause belongs to. `output` is what it, or an attempt before it, left."""
    status, budgets = seen.status, seen.spec.budgets
    counts, stalls = _counts(seen, cause)
    failures = status.failures + (counts == "failure")
    disruptions = status.disruptions + (counts == "disruption")
    memory = {"failures": failures, "disruptions": disruptions, "stalls": stalls, "first_cause": cause}
    what = f"attempt {status.attempt} failed: {describe_cause(cause)}"
    kept = advice(output, seen.run.metadata.name)
    also = f". {kept}" if kept else ""
    if counts == "final":
        return Charge(memory, cause.kind, f"{what}. {kept or OTHER_ADVICE}")
    if failures > budgets.failures:
        spent = f"{failures} attempts failed, and spec.budgets.failures allows {budgets.failures}"
        return Charge(memory, FAILURES_SPENT, f"{what}. {spent}: mend the cause, then raise the budget or request a retry{also}")
    if disruptions > budgets.disruptions:
        spent = f"{disruptions} attempts were disrupted, and spec.budgets.disruptions allows {budgets.disruptions}"
        return Charge(memory, DISRUPTIONS_SPENT, f"{what}. {spent}: raise the budget or request a retry{also}")
    remaining = f"{budgets.failures - failures} failures and {budgets.disruptions - disruptions} disruptions are left"
    return Charge(memory, "", f"{what}. Attempt {status.attempt + 1} follows; {remaining}")


def _counts(seen: Observed, cause: Cause) -> tuple[CountsAs, int]:
    """Which budget is charged, and how many attempts in a row have stalled."""
    counts = COUNTS_AS[cause.kind]
    if cause.kind != "TryAgain" or cause.exit_code != ExitCode.TRY_AGAIN:
        return counts, 0
    if seen.progress is not None and seen.progress.epoch > seen.status.epoch:
        return counts, 0
    stalls = seen.status.stalls + 1
    return ("failure", 0) if stalls > STALLS_ALLOWED else (counts, stalls)


def seconds_left(spec: Spec, spent_seconds: int) -> float:
    """How many seconds further attempts may run."""
    return seconds(spec.budgets.deadline) - spent_seconds


def deadline_exceeded(spec: Spec, spent_seconds: int, now: datetime, obstacle: str = "") -> Outcome:
    """The outcome of a run whose attempts have used up its deadline. `obstacle` is why the last one did not train; empty if it did."""
    if obstacle:
        waited = f"spec.budgets.deadline allows {spec.budgets.deadline} in all, and {spent_seconds} s are spent"
        return outcome(DEADLINE_EXCEEDED, f"{waited}; the last attempt did not begin to train: {obstacle}. Mend that, then raise it", now)
    allowed = f"spec.budgets.deadline allows attempts to run {spec.budgets.deadline} in all"
    return outcome(DEADLINE_EXCEEDED, f"{allowed}, and they ran {spent_seconds} s: raise it to go on from the newest checkpoint", now)
