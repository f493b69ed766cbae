"""A ModelVersion that is being deleted."""

from __future__ import annotations

from datetime import datetime

from bramble.api.labels import FINALIZER
from bramble.kinds.modelversion.observed import Observed, Unusable
from bramble.kinds.modelversion.status import EVENTS, IN_USE
from bramble.kinds.plan import NOTHING, PatchFields, Plan
from bramble.kinds.status_update import StatusUpdate, not_ready, report


def release(seen: Observed | Unusable, now: datetime) -> Plan | None:
    """Hold it while a Rollout uses it, then let it go. Packages and evidence stay in the store."""
    metadata = seen.version.metadata
    if metadata.deleted is None:
        return None
    if FINALIZER not in metadata.finalizers:
        return NOTHING
    if seen.used_by:
        message = f"it is deleted when no Rollout uses it any more; in use by {', '.join(seen.used_by)}: roll out another version there"
        stated = StatusUpdate("Deleting", (not_ready(IN_USE, message),), EVENTS)
        return report(seen.version, stated, now, fields={"used_by": seen.used_by})
    kept = [name for name in metadata.finalizers if name != FINALIZER]
    return Plan(items=(PatchFields(metadata.key, metadata.uid, metadata.resource_version, {"metadata": {"finalizers": kept}}),))
