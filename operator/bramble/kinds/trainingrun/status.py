"""What a TrainingRun's status says: its conditions, and what of progress, causes and results it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bramble.api.conditions import Condition, Truth, find, rfc3339
from bramble.api.trainingrun import DatasetPin, EvaluationSeen, GateSeen, Outcome, PackageSeen, ProgressSeen, Status
from bramble.contracts.canonical import short
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.evaluate import EvaluateResult, GateOutcome
from bramble.contracts.jobs.train import TrainResult
from bramble.contracts.report import Progress
from bramble.kinds.blockers import STORE_EVENTS
from bramble.kinds.plan import EventType
from bramble.kinds.status_update import INVALID_SPEC, StatusUpdate, not_ready, ready

ADMITTED = "Admitted"
RUNNING = "Running"
GATES_PASSED = "GatesPassed"
COMPLETE = "Complete"
FAILED = "Failed"

PINNED = "Pinned"
DATASET_MISSING = "DatasetMissing"
DATASET_NOT_FROZEN = "DatasetNotFrozen"
SUSPENDED = "Suspended"
BETWEEN_ATTEMPTS = "BetweenAttempts"
STARTING = "Starting"
QUEUED = "Queued"
TRAINING = "Training"
ENDING = "AttemptEnding"
ATTEMPT_FAILED = "AttemptFailed"
EVALUATING = "Evaluating"
TRAINED = "Trained"
PUBLISHING = "MakingModelVersion"
NAME_CONFLICT = "NameConflict"

SUCCEEDED = "Succeeded"
GATES_FAILED = "GatesFailed"
EVALUATION_FAILED = "EvaluationFailed"
FAILURES_SPENT = "FailureBudgetSpent"
DISRUPTIONS_SPENT = "DisruptionBudgetSpent"
DEADLINE_EXCEEDED = "DeadlineExceeded"

EVENTS: Mapping[str, EventType] = {
    PINNED: "Normal",
    STARTING: "Normal",
    QUEUED: "Normal",
    SUSPENDED: "Normal",
    ATTEMPT_FAILED: "Normal",
    TRAINED: "Normal",
    SUCCEEDED: "Normal",
    INVALID_SPEC: "Warning",
    DATASET_MISSING: "Warning",
    NAME_CONFLICT: "Warning",
    GATES_FAILED: "Warning",
    EVALUATION_FAILED: "Warning",
    FAILURES_SPENT: "Warning",
    DISRUPTIONS_SPENT: "Warning",
    DEADLINE_EXCEEDED: "Warning",
    "SpecError": "Warning",
    "BadData": "Warning",
    **STORE_EVENTS,
}
"""Reasons that are worth an event (`StatusUpdate.events`)."""

METRICS_SHOWN = 12


def not_admitted(status: Status, reason: str, message: str) -> StatusUpdate:
    """The run waits for something that it names; nothing is spent."""
    conditions = (not_ready(reason, message), Condition(ADMITTED, "False", reason, message))
    return StatusUpdate("Failed" if reason == INVALID_SPEC else "Pending", (*conditions, *_no_more(status, reason, message)), EVENTS)


def under_way(status: Status, phase: str, reason: str, message: str, *, running: bool = False) -> StatusUpdate:
    """The dataset is pinned, and this is what happens now."""
    conditions = [not_ready(reason, message)]
    if status.dataset is not None:
        conditions.append(Condition(ADMITTED, "True", PINNED, told_pin(status.dataset)))
    conditions.append(Condition(RUNNING, "True" if running else "False", reason, message))
    return StatusUpdate(phase, (*conditions, *_no_more(status, reason, message)), EVENTS)


def told_pin(pin: DatasetPin) -> str:
    """What the run trains on."""
    return f"trains on {short(pin.version)} of Dataset {pin.name}"


def ended(outcome: Outcome, evaluation: EvaluationSeen | None) -> StatusUpdate:
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
        conditions.append(Condition(GATES_PASSED, truth, GATES_PASSED if passed else GATES_FAILED, told_gates(evaluation)))
    return StatusUpdate("Complete" if succeeded else "Failed", tuple(conditions), EVENTS)


def _no_more(status: Status, reason: str, message: str) -> tuple[Condition, ...]:
    """What an earlier end said holds no more: the run was tried again."""
    past = [type_ for type_ in (COMPLETE, FAILED, GATES_PASSED) if find(status.conditions, type_) is not None]
    return tuple(Condition(type_, "Unknown" if type_ == GATES_PASSED else "False", reason, message) for type_ in past)


def told_cause(cause: Cause) -> str:
    """The first cause in a line: who, where, what."""
    rank = cause.rank if cause.rank is not None else cause.node_rank
    who = "" if rank is None else f"rank {rank}" if cause.rank is not None else f"node rank {rank}"
    where = [part for part in (who, f"node {cause.node}" if cause.node else "") if part]
    how = [f"exit code {cause.exit_code}"] if cause.exit_code is not None else []
    how += [cause.signal] if cause.signal is not None else []
    placed = ", ".join([*where, *how])
    return f"{cause.kind}{f' ({placed})' if placed else ''}: {cause.message}"


def told_gates(evaluation: EvaluationSeen) -> str:
    """Every gate with what was measured, the missed ones first."""
    if not evaluation.gates:
        accuracy = evaluation.metrics.get("accuracy")
        return "no gates; " + (f"accuracy {accuracy:.4g} on {evaluation.samples} samples" if accuracy is not None else "measured")
    missed = [gate for gate in evaluation.gates if not gate.passed]
    passed = [gate for gate in evaluation.gates if gate.passed]
    told = [f"{gate.gate}: missed with {_number(gate.value)}" for gate in missed]
    return "; ".join([*told, *(f"{gate.gate}: {_number(gate.value)}" for gate in passed)])


def _number(value: float | None) -> str:
    return f"{value:.4g}" if value is not None else "no such sample in the test split"


def progress_of(progress: Progress | None, former: ProgressSeen | None) -> ProgressSeen | None:
    """What the attempt last said, as the status keeps it."""
    if progress is None:
        return former
    return ProgressSeen(
        summary=f"{progress.epoch}/{progress.epochs}" if progress.epochs else progress.message[:60],
        epoch=progress.epoch,
        epochs=progress.epochs,
        eta_seconds=round(progress.eta_seconds) if progress.eta_seconds is not None else None,
        metrics=_shown(progress.metrics),
        device=progress.device,
        world_size=progress.world_size,
        first_step_at=progress.first_step_at or "",
    )


def last_progress(result: TrainResult, progress: Progress | None, former: ProgressSeen | None) -> ProgressSeen:
    """How far the attempt came that gave the package: its result knows, also where it was over before anything was heard of it."""
    known = progress_of(progress, former) or ProgressSeen()
    if not result.epochs:
        return known
    epochs = max(known.epochs, result.epochs)
    done = {"summary": f"{result.epochs}/{epochs}", "epoch": result.epochs, "epochs": epochs, "eta_seconds": 0}
    return known.model_copy(update={**done, "metrics": _shown(result.metrics), "device": result.device, "world_size": result.world_size})


def _shown(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in list(metrics.items())[:METRICS_SHOWN]}


def package_of(result: TrainResult, image: str) -> PackageSeen:
    """What training gave."""
    return PackageSeen(
        digest=result.package, weights=result.weights or "", epochs=result.epochs, device=result.device, image=result.image or image
    )


def evaluation_of(result: EvaluateResult, uri: str) -> EvaluationSeen:
    """What the package scored."""
    overall = result.overall
    return EvaluationSeen(
        samples=overall.samples,
        metrics={name: float(f"{getattr(overall, name):.6g}") for name in ("accuracy", "precision", "recall", "f1")},
        gates=tuple(GateSeen(gate=told_gate(each), value=each.value, passed=each.passed) for each in result.gates),
        uri=uri,
    )


def told_gate(outcome: GateOutcome) -> str:
    """The gate in words: `recall of ad where channel=rai1 at least 0.9`."""
    gate = outcome.gate
    label = f" of {gate.label}" if gate.label is not None else ""
    where = f" where {gate.slice}" if gate.slice is not None else ""
    return f"{gate.metric}{label}{where} at least {gate.min}"


def outcome(reason: str, message: str, now: datetime) -> Outcome:
    """How the run ended."""
    return Outcome(reason=reason, message=message, at=rfc3339(now))
