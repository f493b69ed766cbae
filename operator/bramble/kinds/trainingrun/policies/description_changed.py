"""The model description for a kept output is no longer the one that the run was admitted with."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.canonical import document_digest
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import report
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import spec_changed


def description_changed(seen: Observed, now: datetime) -> Plan | None:
    """Hold the run until the former description is back. The API server misses some changes of free-form fields
    (see `hyperparameters_changed`).
    """
    kept, pin = seen.spec.trainer.kept_output, seen.status.kept_output
    if kept is None or pin is None:
        return None
    if pin.description == (document_digest(kept.package) if kept.package is not None else ""):
        return None
    message = (
        "spec.trainer.keptOutput.package is not what the run was admitted with, and it decides the result: write the former description"
        " back, or make another TrainingRun with another name"
    )
    return report(seen.run, spec_changed(seen.status, message), now)
