"""The evaluation: a Job of its own measures the exported package on the frozen test split. What a script reports of itself is not used."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from bramble.api.objects import StepAttempts
from bramble.contracts.jobs.evaluate import EvaluateResult
from bramble.kinds.jobs.lifecycle import Finished, advance
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import StatusUpdate, remember
from bramble.kinds.trainingrun.describe import describe_gates
from bramble.kinds.trainingrun.evaluation import evaluate_filed_key, evaluate_step
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.results import evaluation_of
from bramble.kinds.trainingrun.status import EVALUATING, EVALUATION_FAILED, under_way
from bramble.kinds.trainingrun.unfinished import plan_unfinished

REMEDY = (
    "If the model's description is wrong, correct it in another TrainingRun with spec.trainer.keptOutput, because the package is kept as it"
    " is. Otherwise correct the cause, then request a retry"
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
    found = advance("evaluation", status.evaluating, step, seen.evaluation, EvaluateResult, now=now, filed_key=key)
    if isinstance(found, Finished):
        measured = evaluation_of(found.result, key)
        return remember(run, _evaluating(seen, describe_gates(measured)), now, evaluation=measured)
    show = partial(_evaluating, seen)
    return plan_unfinished(seen, found, now, show, memory="evaluating", failed=EVALUATION_FAILED, remedy=REMEDY)


def _evaluating(seen: Observed, message: str) -> StatusUpdate:
    return under_way(seen.status, "Evaluating", EVALUATING, message)
