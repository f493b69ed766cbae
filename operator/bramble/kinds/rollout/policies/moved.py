"""The reference names something else than what is out, or than what was undone."""

from __future__ import annotations

from datetime import datetime

from bramble.api.rollout import Release
from bramble.kinds.plan import Plan
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.stating import keep, progressing, waiting


def moved(seen: Observed, now: datetime) -> Plan | None:
    """Take the candidate back before anything else, or forget what was undone.

    Otherwise a node could keep a version that no Rollout names any more. Back to the stable version is the same: an
    immediate undo, and no new attempt.
    """
    status = seen.status
    if status.candidate is not None and not names_it(seen, status.candidate):
        message = f"returning from {status.candidate.ref}: the reference now names {seen.spec.model_version_ref.name}"
        return keep(seen, progressing(seen, "Superseded", message), now, candidate=None, step_started_at="", baseline=None)
    if status.undone is not None and (seen.spec.model_version_ref.name != status.undone.ref or other_uid(seen, status.undone.uid)):
        message = f"the reference no longer names {status.undone.ref}, which was undone"
        return keep(seen, waiting(seen, "ReferenceMoved", message), now, undone=None)
    return None


def names_it(seen: Observed, release: Release) -> bool:
    """Whether the reference still means this very version; one made anew under the same name is another."""
    return seen.spec.model_version_ref.name == release.ref and not other_uid(seen, release.uid)


def other_uid(seen: Observed, uid: str) -> bool:
    """Whether the wanted version is known, and is another object."""
    return seen.wanted is not None and seen.wanted.uid != uid
