"""The hyperparameters are no longer those that the run was admitted with."""

from __future__ import annotations

from datetime import datetime

from bramble.contracts.canonical import document_digest
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import report
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.status import spec_changed


def hyperparameters_changed(seen: Observed, now: datetime) -> Plan | None:
    """Hold the run until the former values are back: its result would be filed under inputs that it was not made of.

    The API server refuses a change of the spec. But its comparison takes two free-form objects for equal if they have equally many fields
    and no name in common (Kubernetes 1.36), so the operator compares as well.
    """
    if seen.status.hyperparameters in ("", document_digest(seen.spec.hyperparameters)):
        return None
    message = (
        "spec.hyperparameters is not what the run was admitted with, and it decides the result: write the former values back, "
        "or make another TrainingRun with another name"
    )
    return report(seen.run, spec_changed(seen.status, message), now)
