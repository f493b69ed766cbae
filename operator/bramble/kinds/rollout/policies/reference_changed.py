"""The spec names another version than the one that is being tried, or that was undone."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.memory import candidate_withdrawn
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import progressing, remember_rollout, waiting


def reference_changed(seen: Observed, now: datetime) -> Plan | None:
    """Take the candidate back before anything else; otherwise a node could keep a version that no Rollout names. Forget what was undone.

    A spec that names the stable version again undoes the candidate at once in this way, without a new attempt.
    """
    status, named = seen.status, seen.spec.model_version_ref.name
    if status.candidate is not None and not still_named(seen, status.candidate.ref, status.candidate.uid):
        message = f"{status.candidate.ref} is taken back: the spec names {named} now"
        return remember_rollout(seen, progressing(seen, reasons.REFERENCE_CHANGED, message), now, **candidate_withdrawn())
    if status.undone is not None and not still_named(seen, status.undone.ref, status.undone.uid):
        message = f"the spec names {named} now, and no longer {status.undone.ref}, which was undone"
        return remember_rollout(seen, waiting(seen, reasons.REFERENCE_CHANGED, message), now, undone=None)
    return None


def still_named(seen: Observed, ref: str, uid: str) -> bool:
    """Whether the spec still names this very version. One that was deleted and made again under the same name is another.

    A version that could not be read when it was undone has no uid.
    """
    return seen.spec.model_version_ref.name == ref and (seen.wanted is None or uid in ("", seen.wanted.uid))
