"""A run that is being deleted."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import NOTHING, Plan
from bramble.kinds.trainingrun.observed import Observed


def deleted(seen: Observed, now: datetime) -> Plan | None:  # noqa: ARG001 - every policy has this form
    """Do nothing more: Jobs and the Service go with it by owner reference; packages, checkpoints and the ModelVersion stay."""
    return NOTHING if seen.run.metadata.deleted is not None else None
