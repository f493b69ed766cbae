"""Objects of attempts that have ended are deleted."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Delete, Plan
from bramble.kinds.trainingrun.observed import Observed
from bramble.kube.resources import key_of


def strays(seen: Observed, now: datetime) -> Plan | None:  # noqa: ARG001 - every policy has this form
    """Delete them as soon as they are seen. A leader that had stalled may also have made one late. Their pods go with them."""
    if not seen.strays:
        return None
    return Plan(items=tuple(Delete(key_of(child), child["metadata"]["uid"]) for child in seen.strays))
