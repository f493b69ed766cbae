"""The kept output of another run is packaged: a Job on a CPU makes the same checks as the end of a training."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from bramble.api.objects import StepAttempts
from bramble.contracts.canonical import short
from bramble.contracts.jobs.package import PackagingResult
from bramble.kinds.jobs.lifecycle import Finished, advance
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import StatusUpdate, remember
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.packaging import package_step
from bramble.kinds.trainingrun.results import final_progress, package_of
from bramble.kinds.trainingrun.status import PACKAGING, PACKAGING_FAILED, TRAINED, under_way
from bramble.kinds.trainingrun.unfinished import plan_unfinished

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
    found = advance("packaging", status.packaging, step, seen.packaging, PackagingResult, now=now)
    if isinstance(found, Finished):
        result = found.result
        message = f"package {short(result.package)} was made, without training, of what attempt {pin.attempt} of {pin.run} left"
        progress = final_progress(result, None, status.progress)
        update = under_way(status, "Evaluating", TRAINED, message)
        return remember(run, update, now, package=package_of(result, ""), progress=progress)
    show = partial(_packaging, seen)
    return plan_unfinished(seen, found, now, show, memory="packaging", failed=PACKAGING_FAILED, remedy=REMEDY)


def _packaging(seen: Observed, message: str) -> StatusUpdate:
    return under_way(seen.status, "Packaging", PACKAGING, message)
