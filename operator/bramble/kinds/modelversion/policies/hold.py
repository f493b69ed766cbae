"""The finalizer of a ModelVersion."""

from __future__ import annotations

from datetime import datetime

from bramble.api.labels import FINALIZER
from bramble.kinds.modelversion.observed import Observed, Unusable
from bramble.kinds.plan import PatchFields, Plan


def hold(seen: Observed | Unusable, now: datetime) -> Plan | None:  # noqa: ARG001 - every policy has this form
    """Put it on while a Rollout uses the version, and take it off after: one that nobody uses can be deleted without an operator."""
    metadata = seen.version.metadata
    if bool(seen.used_by) == (FINALIZER in metadata.finalizers):
        return None
    others = [name for name in metadata.finalizers if name != FINALIZER]
    wanted = [*others, FINALIZER] if seen.used_by else others
    return Plan(items=(PatchFields(metadata.key, metadata.uid, metadata.resource_version, {"metadata": {"finalizers": wanted}}),))
