"""A copy of the last decision into the store."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import FileResult, Plan
from bramble.kinds.rollout.decision import Decision, decision_key, encode
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.assign import telling
from bramble.kinds.rollout.stating import act


def file_decision(seen: Observed, now: datetime) -> Plan | None:
    """File it before anything else is decided, so that none is lost.

    After `assign` and `guardrails`: while the store is away no step ends, and still every undo is made and told.
    """
    status, metadata = seen.status, seen.metadata
    if status.decision is None or status.decision_filed:
        return None
    decision = Decision.model_validate(status.decision)
    key = decision_key(metadata.namespace, metadata.name, metadata.uid, decision)
    return act(seen, telling(seen), now, FileResult(metadata.namespace, key, encode(status.decision)), decision_filed=True, wake_at=now)
