"""The finalizer of a ModelVersion."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.finalizer import add_finalizer, has_finalizer, remove_finalizer
from bramble.kinds.modelversion.observed import Observed, Unusable
from bramble.kinds.plan import Plan


def finalizer(seen: Observed | Unusable, now: datetime) -> Plan | None:  # noqa: ARG001 - every policy has this form
    """Add the finalizer while a Rollout uses the version, and remove it after.

    A version that nobody uses has none, so it can be deleted even if no operator runs.
    """
    metadata = seen.version.metadata
    if bool(seen.used_by) == has_finalizer(metadata):
        return None
    return Plan(items=(add_finalizer(metadata) if seen.used_by else remove_finalizer(metadata),))
