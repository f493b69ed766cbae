"""A Rollout without memory finds what a Rollout that is gone has left on the fleet, as after a cluster was restored."""

from __future__ import annotations

from datetime import datetime

from bramble.api.rollout import Release
from bramble.kinds.plan import Plan
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.stating import keep, waiting

LEFT = "left-by-an-earlier-rollout"
"""Named as the stable version where no ModelVersion is known to be it."""


def adopt(seen: Observed, now: datetime) -> Plan | None:
    """Take what devices serve as the stable version: a first rollout would take it from all of them, to pace the same fleet anew."""
    status, written = seen.status, seen.written
    if status.attempt or status.stable is not None or status.candidate is not None:
        return None
    if written is None or seen.ours is not None or not written.assignment.stable:
        return None
    left = written.assignment
    if seen.wanted is not None and left.stable.items() <= seen.wanted.packages.items():
        stable = seen.wanted
    else:
        stable = Release(ref=LEFT, uid="", model=left.model, version="", packages=dict(left.stable))
    message = f"fleet {seen.fleet.name} serves model {left.model} of a Rollout that is gone; it goes on as the stable version"
    return keep(seen, waiting(seen, "Adopted", message), now, attempt=left.attempt, stable=stable)
