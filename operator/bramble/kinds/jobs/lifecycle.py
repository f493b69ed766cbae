"""The life of one step of an object's work (snapshot, conversion, benchmark, evaluation), the same for every kind. Pure.

The kind keeps the step's attempts in memory (`StepAttempts`) and reads the state of the present one (`gather_step`). In each pass it
calls `advance`, and turns the outcome into its conditions and its memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from bramble.contracts.cause import Cause, describe_cause
from bramble.contracts.jobs.files import AnyResult
from bramble.kinds.jobs.attempts import Attempts, charge, is_exhausted, next_attempt
from bramble.kinds.jobs.gather import StepSeen
from bramble.kinds.jobs.render import CONTAINER, render_step
from bramble.kinds.jobs.state import Absent, CountsAs, Done, Failed, Running, Waiting, step_state
from bramble.kinds.jobs.step import Step
from bramble.kinds.jobs.waiting import is_outdated, may_have_begun
from bramble.kinds.plan import CreateOnce, FileResult

ATTEMPT_FAILED = "AttemptFailed"
"""Reason of the event about an attempt that failed and is followed by another."""

Result = TypeVar("Result", bound=AnyResult)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The attempt starts, waits or runs.

    Attributes:
        message: what it does now, for a condition.
        items: the Job and its ConfigMap, to be created if there are none yet.
        since: since when it waits; None if it does not.
    """

    message: str
    items: tuple[CreateOnce, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotFiled:
    """There is a result, and it must be filed under its inputs before it is recorded, so that the same work is never done twice."""

    item: FileResult


@dataclass(frozen=True, slots=True)
class Finished(Generic[Result]):
    """There is a result, and the kind may record it."""

    result: Result


@dataclass(frozen=True, slots=True)
class Repeated(Generic[Attempts]):
    """The attempt failed, and another one follows.

    Attributes:
        attempts: memory of the next attempt, with the failed one charged.
        cause: why the attempt failed.
        message: the same for a condition and an event.
    """

    attempts: Attempts
    cause: Cause
    message: str


@dataclass(frozen=True, slots=True)
class Renewed(Generic[Attempts]):
    """The work of the attempt has not begun, and its Job would be made otherwise now or is about to end, so another attempt follows. No
    budget is charged.

    Attributes:
        attempts: memory of the next attempt.
        message: for a condition.
    """

    attempts: Attempts
    message: str


@dataclass(frozen=True, slots=True)
class GivenUp(Generic[Attempts]):
    """The attempt failed, and none follows: the cause is final, or a budget is spent.

    Attributes:
        attempts: memory with the failed attempt charged.
        cause: why the attempt failed.
        message: the same for a condition. What to do about it is for the kind to add.
    """

    attempts: Attempts
    cause: Cause
    message: str


def advance(
    what: str,
    attempts: Attempts,
    step: Step,
    seen: StepSeen,
    result_type: type[Result],
    *,
    now: datetime,
    filed_key: str = "",
    problem_of: Callable[[Result], str] = lambda _: "",
) -> UnderWay | NotFiled | Finished[Result] | Repeated[Attempts] | Renewed[Attempts] | GivenUp[Attempts]:
    """What the present attempt at a step needs next.

    Args:
        what: the step in words, such as `conversion`; messages begin with it.
        attempts: the step's memory.
        step: the present attempt, from which its Job is rendered.
        seen: what was read of the present attempt.
        result_type: the type of the step's results.
        filed_key: where results of the same inputs are filed; empty when results of this step are not filed.
        problem_of: why a result cannot be used; empty when it can. Such a result counts as a failure.
    """
    name = f"{what} attempt {attempts.attempt}"
    state = step_state(seen)
    match state:
        case Absent():
            return UnderWay(f"{name} starts", render_step(step))
        case Waiting(message, since):
            children = render_step(step)
            if is_outdated(seen.job, seen.pods, (CONTAINER,), children):
                following = next_attempt(attempts)
                return Renewed(following, renewed_message(name, following.attempt))
            if within := _given_up_within(seen, now):
                following = next_attempt(attempts)
                return Renewed(following, never_began_message(name, following.attempt, message, within))
            return UnderWay(message, () if seen.begun else children, since)
        case Running(node):
            return UnderWay(f"{name} runs on node {node}")
        case Failed(cause, counts_as):
            return _failed(name, attempts, cause, counts_as)
        case Done(result, content, filed) if isinstance(result, result_type):
            if problem := problem_of(result):
                return _failed(name, attempts, Cause(kind="Error", message=problem), "failure")
            if filed_key and not filed:
                return NotFiled(FileResult(step.owner.namespace, filed_key, content))
            return Finished(result)
    raise TypeError(f"{name}: {state} is no result of type {result_type.__name__}")  # `gather_step` checks the step of what it reads


CONFIG_MAP_SECONDS = 60
"""How long a Job holds its node without the ConfigMap that its pod mounts: a quota was used up after the Job was made, and refuses it."""


def _given_up_within(seen: StepSeen, now: datetime) -> str:
    """The time in words within which the work of a Job should have begun, if it has not and is given up now; empty otherwise."""
    job = seen.job
    if job is None or may_have_begun(job, seen.pods, (CONTAINER,)):
        return ""
    if seen.pods and not seen.begun and job.since is not None and job.since + timedelta(seconds=CONFIG_MAP_SECONDS) <= now:
        return f"{CONFIG_MAP_SECONDS} s, without its ConfigMap"
    return "the deadline of its Job" if job.gives_up_at is not None and job.gives_up_at <= now else ""


def renewed_message(name: str, following: int) -> str:
    """What is said of an attempt that is followed by one that is made from what is wanted now."""
    return f"the work of {name} has not begun, and its Job would be made otherwise now: attempt {following} follows, no budget is charged"


def never_began_message(name: str, following: int, why: str, within: str = "the deadline of its Job") -> str:
    """What is said of an attempt whose work did not begin in time."""
    return f"the work of {name} did not begin within {within}: attempt {following} follows, no budget is charged: {why}"


def _failed(name: str, attempts: Attempts, cause: Cause, counts_as: CountsAs) -> Repeated[Attempts] | GivenUp[Attempts]:
    charged = charge(attempts, counts_as)
    message = f"{name} failed: {describe_cause(cause)}"
    if is_exhausted(charged, counts_as):
        return GivenUp(charged, cause, message)
    following = next_attempt(charged)
    return Repeated(following, cause, f"{message}. Attempt {following.attempt} follows")
