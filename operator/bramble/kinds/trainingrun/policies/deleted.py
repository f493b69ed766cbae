"""The run is being deleted."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import NOTHING, Plan
from bramble.kinds.trainingrun.observed import Observed


def deleted(seen: Observed, now: datetime) -> Plan | None:  # noqa: ARG001 - every policy has this form
    """Do nothing. The garbage collector removes Jobs and the Service; packages, checkpoints and the ModelVersion stay."""
    return NOTHING if seen.run.metadata.deleted is not None else None
