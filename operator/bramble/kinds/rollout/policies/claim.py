"""The finalizer, before anything else is written: a Rollout that is gone could not take its model back."""

from __future__ import annotations

from datetime import datetime

from bramble.api.labels import FINALIZER
from bramble.kinds.plan import PatchFields, Plan
from bramble.kinds.rollout.observed import Observed


def claim(seen: Observed, now: datetime) -> Plan | None:
    """Add the finalizer where it is missing."""
    del now
    metadata = seen.metadata
    if FINALIZER in metadata.finalizers:
        return None
    patch = {"metadata": {"finalizers": [*metadata.finalizers, FINALIZER]}}
    return Plan((PatchFields(metadata.key, metadata.uid, metadata.resource_version, patch),))
