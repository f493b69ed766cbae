"""Jobs of attempts that have ended."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.modelversion.observed import Observed
from bramble.kinds.plan import Delete, Plan
from bramble.kube.resources import key_of


def strays(seen: Observed, now: datetime) -> Plan | None:  # noqa: ARG001 - every policy has this form
    """Delete them on sight: the attempt ended, or a leader that had stalled made one late."""
    if not seen.strays:
        return None
    return Plan(items=tuple(Delete(key_of(child), child["metadata"]["uid"]) for child in seen.strays))
