"""The kept output of another run is packaged: a Job on a CPU makes the same checks as the end of a training."""

from __future__ import annotations

from datetime import datetime

from bramble.api.objects import StepAttempts
from bramble.contracts.canonical import short
from bramble.contracts.jobs.package import PackagingResult
from bramble.kinds.jobs.lifecycle import ATTEMPT_FAILED, Finished, GivenUp, NotFiled, Repeated, UnderWay, advance
from bramble.kinds.jobs.waiting import look_again
from bramble.kinds.plan import Emit, Plan
from bramble.kinds.status_update import StatusUpdate, remember, report
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.packaging import package_step
from bramble.kinds.trainingrun.results import final_progress, package_of
from bramble.kinds.trainingrun.status import PACKAGING, PACKAGING_FAILED, TRAINED, outcome, run_ended, under_way

REMEDY = "The output stays kept: correct spec.trainer.keptOutput in another TrainingRun, or the cause, and then request a retry"


def package_output(seen: Observed, now: datetime) -> Plan | None:
    """Create the Job, wait for it, then record the package, begin another attempt, or end the run."""
    run, status, pin = seen.run, seen.status, seen.status.kept_output
    if seen.spec.trainer.kept_output is None or status.package is not None or pin is None:
        return None
    if status.packaging is None:
        return remember(run, _packaging(seen, "packaging attempt 1 begins"), now, packaging=StepAttempts(attempt=1))
    step = package_step(seen, status.packaging.attempt)
    if step is None or seen.packaging is None:
        return None
    match advance("packaging", status.packaging, step, seen.packaging, PackagingResult):
        case UnderWay(message, items, since):
            return report(run, _packaging(seen, message), now, items=items, wake_at=look_again(since, now))
        case NotFiled(item):
            return Plan(items=(item,), wake_at=now)
        case Finished(result):
            message = f"package {short(result.package)} was made, without training, of what attempt {pin.attempt} of {pin.run} left"
            progress = final_progress(result, None, status.progress)
            update = under_way(status, "Evaluating", TRAINED, message)
            return remember(run, update, now, package=package_of(result, ""), progress=progress)
        case Repeated(following, cause, message):
            event = Emit("Normal", ATTEMPT_FAILED, message)
            return remember(run, _packaging(seen, message), now, events=(event,), first_cause=cause, packaging=following)
        case GivenUp(charged, cause, message):
            final = outcome(PACKAGING_FAILED, f"{message}. {REMEDY}", now)
            return remember(run, run_ended(final, None), now, first_cause=cause, packaging=charged, outcome=final)


def _packaging(seen: Observed, message: str) -> StatusUpdate:
    return under_way(seen.status, "Packaging", PACKAGING, message)
