"""The exported package is evaluated on the frozen test split by a Job of its own."""

from __future__ import annotations

from datetime import datetime

from bramble.api.objects import StepAttempts
from bramble.contracts.jobs.evaluate import EvaluateResult
from bramble.kinds.jobs.attempts import Spent, after
from bramble.kinds.jobs.render import render_step
from bramble.kinds.jobs.state import Absent, Done, Failed, Running, Waiting, step_state
from bramble.kinds.plan import FileResult, Plan
from bramble.kinds.status_update import StatusUpdate, remember, report
from bramble.kinds.trainingrun.describe import describe_cause, describe_gates
from bramble.kinds.trainingrun.evaluation import evaluate_filed_key, evaluate_step
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.results import evaluation_of
from bramble.kinds.trainingrun.status import EVALUATING, EVALUATION_FAILED, outcome, run_ended, under_way


def evaluate(seen: Observed, now: datetime) -> Plan | None:
    """Take the evaluation one step further, until its result is remembered. What a training script reports of itself is never used."""
    status = seen.status
    if status.package is None or status.evaluation is not None:
        return None
    if status.evaluating is None:
        return remember(seen.run, _stated(seen, "is next"), now, evaluating=StepAttempts(attempt=1))
    step = evaluate_step(seen, status.evaluating.attempt)
    if step is None or seen.evaluation is None:
        return None
    match step_state(seen.evaluation):
        case Absent():
            return report(seen.run, _stated(seen, "is being made"), now, items=render_step(step))
        case Waiting(message):
            return report(seen.run, under_way(status, "Evaluating", EVALUATING, message), now)
        case Running(node):
            return report(seen.run, _stated(seen, f"runs on node {node}"), now)
        case Done(EvaluateResult() as result, content, filed):
            key = evaluate_filed_key(step)
            if not filed:
                return Plan(items=(FileResult(step.owner.namespace, key, content),), wake_at=now)
            measured = evaluation_of(result, key)
            stated = under_way(status, "Evaluating", EVALUATING, describe_gates(measured))
            return remember(seen.run, stated, now, evaluation=measured)
        case Failed() as failed:
            return _again(seen, status.evaluating, failed, now)
        case _:
            return None


def _stated(seen: Observed, what: str) -> StatusUpdate:
    return under_way(seen.status, "Evaluating", EVALUATING, f"the evaluation of the package {what}")


def _again(seen: Observed, made: StepAttempts, failed: Failed, now: datetime) -> Plan:
    told = f"the evaluation failed (attempt {made.attempt}): {describe_cause(failed.cause)}"
    spent = after(failed, Spent(failures=made.failures, disruptions=made.disruptions))
    if spent is None:
        final = outcome(EVALUATION_FAILED, f"{told}. The package is kept: mend the cause, then request a retry", now)
        return remember(seen.run, run_ended(final, None), now, first_cause=failed.cause, outcome=final)
    following = StepAttempts(attempt=made.attempt + 1, failures=spent.failures, disruptions=spent.disruptions)
    stated = under_way(seen.status, "Evaluating", EVALUATING, f"{told}; it is tried again")
    return remember(seen.run, stated, now, first_cause=failed.cause, evaluating=following)
