"""The conditions of a TrainingRun and their reasons. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from bramble.api.conditions import Condition, Truth, find, rfc3339
from bramble.api.trainingrun import EvaluationSeen, Outcome, Status
from bramble.kinds.blockers import STORE_EVENTS
from bramble.kinds.jobs.lifecycle import ATTEMPT_FAILED
from bramble.kinds.plan import EventType
from bramble.kinds.status_update import INVALID_SPEC, StatusUpdate, not_ready, ready
from bramble.kinds.trainingrun.describe import describe_gates, describe_pin

ADMITTED = "Admitted"
RUNNING = "Running"
GATES_PASSED = "GatesPassed"
COMPLETE = "Complete"
FAILED = "Failed"

PINNED = "Pinned"
DATASET_MISSING = "DatasetMissing"
DATASET_NOT_FROZEN = "DatasetNotFrozen"
GATE_NOT_MEASURABLE = "GateNotMeasurable"
SUSPENDED = "Suspended"
BETWEEN_ATTEMPTS = "BetweenAttempts"
STARTING = "Starting"
QUEUED = "Queued"
PODS_REFUSED = "PodsRefused"
INCOMPLETE = "Incomplete"
TRAINING = "Training"
ENDING = "AttemptEnding"
KEPT_OUTPUT_MISSING = "KeptOutputMissing"
KEPT_OUTPUT_PENDING = "KeptOutputPending"
PACKAGING = "Packaging"
EVALUATING = "Evaluating"
TRAINED = "Trained"
PUBLISHING = "MakingModelVersion"
NAME_CONFLICT = "NameConflict"

SUCCEEDED = "Succeeded"
GATES_FAILED = "GatesFailed"
PACKAGING_FAILED = "PackagingFailed"
EVALUATION_FAILED = "EvaluationFailed"
FAILURES_SPENT = "FailureBudgetSpent"
DISRUPTIONS_SPENT = "DisruptionBudgetSpent"
DEADLINE_EXCEEDED = "DeadlineExceeded"
SPEC_ERROR = "SpecError"
BAD_DATA = "BadData"

EVENTS: Mapping[str, EventType] = {
    PINNED: "Normal",
    STARTING: "Normal",
    QUEUED: "Normal",
    PODS_REFUSED: "Warning",
    INCOMPLETE: "Warning",
    SUSPENDED: "Normal",
    ATTEMPT_FAILED: "Normal",
    TRAINED: "Normal",
    SUCCEEDED: "Normal",
    INVALID_SPEC: "Warning",
    DATASET_MISSING: "Warning",
    GATE_NOT_MEASURABLE: "Warning",
    KEPT_OUTPUT_MISSING: "Warning",
    PACKAGING_FAILED: "Warning",
    NAME_CONFLICT: "Warning",
    GATES_FAILED: "Warning",
    EVALUATION_FAILED: "Warning",
    FAILURES_SPENT: "Warning",
    DISRUPTIONS_SPENT: "Warning",
    DEADLINE_EXCEEDED: "Warning",
    SPEC_ERROR: "Warning",
    BAD_DATA: "Warning",
    **STORE_EVENTS,
}
"""Reasons that are worth an event (`StatusUpdate.events`)."""


def not_admitted(status: Status, reason: str, message: str) -> StatusUpdate:
    """The run waits for something that it needs before its first attempt."""
    conditions = (not_ready(reason, message), Condition(ADMITTED, "False", reason, message), *_reopened(status, reason, message))
    return _held(conditions, reason, message) if reason == INVALID_SPEC else StatusUpdate("Pending", conditions, EVENTS)


def spec_changed(status: Status, message: str) -> StatusUpdate:
    """The spec is no longer what the run was admitted with."""
    return _held(under_way(status, "Failed", INVALID_SPEC, message).conditions, INVALID_SPEC, message)


def _held(conditions: Iterable[Condition], reason: str, message: str) -> StatusUpdate:
    """The run does not go on by itself: it is `Failed` until somebody removes what is wrong."""
    others = (condition for condition in conditions if condition.type != FAILED)
    return StatusUpdate("Failed", (*others, Condition(FAILED, "True", reason, message)), EVENTS)


def under_way(status: Status, phase: str, reason: str, message: str, *, running: bool = False) -> StatusUpdate:
    """The dataset is pinned, and the run is on its way.

    Args:
        running: every rank of the present attempt runs.
    """
    conditions = [not_ready(reason, message)]
    if status.dataset is not None:
        conditions.append(Condition(ADMITTED, "True", PINNED, describe_pin(status.dataset)))
    conditions.append(Condition(RUNNING, "True" if running else "False", reason, message))
    return StatusUpdate(phase, (*conditions, *_reopened(status, reason, message)), EVENTS)


def run_ended(outcome: Outcome, evaluation: EvaluationSeen | None) -> StatusUpdate:
    """The run is over."""
    reason, message = outcome.reason, outcome.message
    succeeded = reason == SUCCEEDED
    conditions = [
        ready(reason, message) if succeeded else not_ready(reason, message),
        Condition(RUNNING, "False", reason, message),
        Condition(COMPLETE if succeeded else FAILED, "True", reason, message),
    ]
    if evaluation is not None:
        truth: Truth = "True" if (passed := all(gate.passed for gate in evaluation.gates)) else "False"
        conditions.append(Condition(GATES_PASSED, truth, GATES_PASSED if passed else GATES_FAILED, describe_gates(evaluation)))
    return StatusUpdate("Complete" if succeeded else "Failed", tuple(conditions), EVENTS)


def _reopened(status: Status, reason: str, message: str) -> tuple[Condition, ...]:
    """Withdraw the conditions of an earlier end: the run is tried again."""
    past = [type_ for type_ in (COMPLETE, FAILED, GATES_PASSED) if find(status.conditions, type_) is not None]
    return tuple(Condition(type_, "Unknown" if type_ == GATES_PASSED else "False", reason, message) for type_ in past)


def outcome(reason: str, message: str, now: datetime) -> Outcome:
    """How the run ended, for memory."""
    return Outcome(reason=reason, message=message, at=rfc3339(now))
