"""A Dataset that is being deleted."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.dataset.observed import Observed
from bramble.kinds.plan import NOTHING, Plan


def deleted(seen: Observed, now: datetime) -> Plan | None:  # noqa: ARG001 - every policy has this form
    """Do nothing more. Its Job is deleted with it by owner reference; its manifests and pictures stay, since TrainingRuns name them."""
    return NOTHING if seen.dataset.metadata.deleted is not None else None
