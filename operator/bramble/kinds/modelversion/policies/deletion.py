"""A ModelVersion that is being deleted."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.finalizer import has_finalizer, remove_finalizer
from bramble.kinds.modelversion.observed import Observed, Unusable
from bramble.kinds.modelversion.status import EVENTS, IN_USE, report_version
from bramble.kinds.plan import NOTHING, Plan
from bramble.kinds.status_update import StatusUpdate, not_ready


def deletion(seen: Observed | Unusable, now: datetime) -> Plan | None:
    """Keep the object while a Rollout uses it, then remove the finalizer. Its packages and evidence stay in the store."""
    metadata = seen.version.metadata
    if metadata.deleted is None:
        return None
    if not has_finalizer(metadata):
        return NOTHING
    if seen.used_by:
        message = f"the version is deleted once no Rollout uses it; {', '.join(seen.used_by)} does: roll out another version there"
        return report_version(seen, StatusUpdate("Deleting", (not_ready(IN_USE, message),), EVENTS), now)
    return Plan(items=(remove_finalizer(metadata),))
