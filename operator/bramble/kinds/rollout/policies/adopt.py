"""A Rollout without memory finds on the fleet what a Rollout that no longer exists has left, as after a cluster was restored."""

from __future__ import annotations

from datetime import datetime

from bramble.api.rollout import Release
from bramble.kinds.plan import Plan
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import remember_rollout, waiting

UNKNOWN_REF = "left-by-an-earlier-rollout"
"""Stands for the name of the stable version where no ModelVersion is known to be it."""


def adopt(seen: Observed, now: datetime) -> Plan | None:
    """Treat what the devices already serve as the stable version. Otherwise the first rollout would withdraw it from every node."""
    status, written = seen.status, seen.written
    if status.attempt or status.stable is not None or status.candidate is not None:
        return None
    if written is None or seen.assignment is not None or not written.assignment.stable:
        return None
    left = written.assignment
    if seen.wanted is not None and left.stable.items() <= seen.wanted.packages.items():
        stable = seen.wanted
    else:
        stable = Release(ref=UNKNOWN_REF, uid="", model=left.model, version="", packages=dict(left.stable))
    message = f"fleet {seen.fleet.name} serves model {left.model} of a Rollout that no longer exists; it becomes the stable version"
    return remember_rollout(seen, waiting(seen, reasons.ADOPTED, message), now, attempt=left.attempt, stable=stable)
