"""The evaluation: a Job of its own measures the exported package on the frozen test split. What a script reports of itself is not used."""

from __future__ import annotations

from datetime import datetime

from bramble.api.objects import StepAttempts
from bramble.contracts.jobs.evaluate import EvaluateResult
from bramble.kinds.jobs.lifecycle import ATTEMPT_FAILED, Finished, GivenUp, NotFiled, Repeated, UnderWay, advance
from bramble.kinds.jobs.waiting import look_again
from bramble.kinds.plan import Emit, Plan
from bramble.kinds.status_update import StatusUpdate, remember, report
from bramble.kinds.trainingrun.describe import describe_gates
from bramble.kinds.trainingrun.evaluation import evaluate_filed_key, evaluate_step
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.results import evaluation_of
from bramble.kinds.trainingrun.status import EVALUATING, EVALUATION_FAILED, outcome, run_ended, under_way

REMEDY = (
    "The package is kept: correct the cause, then request a retry. If the model's description was wrong, correct it in a TrainingRun with"
    " spec.trainer.keptOutput"
)


def evaluate(seen: Observed, now: datetime) -> Plan | None:
    """Create the Job, wait for it, then record its result, begin another attempt, or end the run."""
    run, status = seen.run, seen.status
    if status.package is None or status.evaluation is not None:
        return None
    if status.evaluating is None:
        return remember(run, _evaluating(seen, "evaluation attempt 1 begins"), now, evaluating=StepAttempts(attempt=1))
    step = evaluate_step(seen, status.evaluating.attempt)
    if step is None or seen.evaluation is None:
        return None
    key = evaluate_filed_key(step)
    match advance("evaluation", status.evaluating, step, seen.evaluation, EvaluateResult, filed_key=key):
        case UnderWay(message, items, since):
            return report(run, _evaluating(seen, message), now, items=items, wake_at=look_again(since, now))
        case NotFiled(item):
            return Plan(items=(item,), wake_at=now)
        case Finished(result):
            measured = evaluation_of(result, key)
            return remember(run, _evaluating(seen, describe_gates(measured)), now, evaluation=measured)
        case Repeated(following, cause, message):
            event = Emit("Normal", ATTEMPT_FAILED, message)
            return remember(run, _evaluating(seen, message), now, events=(event,), first_cause=cause, evaluating=following)
        case GivenUp(charged, cause, message):
            final = outcome(EVALUATION_FAILED, f"{message}. {REMEDY}", now)
            return remember(run, run_ended(final, None), now, first_cause=cause, evaluating=charged, outcome=final)


def _evaluating(seen: Observed, message: str) -> StatusUpdate:
    return under_way(seen.status, "Evaluating", EVALUATING, message)
