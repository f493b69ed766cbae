"""A copy of the last decision into the store, beside whatever else the pass does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bramble.kinds.plan import FileResult, Plan
from bramble.kinds.rollout.decision import Decision, decision_key, encode
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.assign import telling
from bramble.kinds.rollout.stating import act


def turns(conditions: Iterable[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    """Every condition's status and reason, but those of Ready."""
    return {(each["type"], each["status"], each["reason"]) for each in conditions if each["type"] != "Ready"}


def file_decision(seen: Observed, verdict: Plan, now: datetime) -> Plan:
    """The verdict of a later policy, with the filing of a decision that is not in the store yet.

    What people are told comes before: a verdict that turns a condition is written without waiting for the store. `Ready` is left out of
    that, since the engine says there that the store does not answer.

    A verdict that changes memory would decide something else and could lose it: that waits until the decision is filed. So
    while the store is away no step ends; what undoes a candidate and what tells the devices come before and wait for nothing.
    """
    status, metadata = seen.status, seen.metadata
    if status.decision is None or status.decision_filed:
        return verdict
    decision = Decision.model_validate(status.decision)
    key = decision_key(metadata.namespace, metadata.name, metadata.uid, decision)
    filing = FileResult(metadata.namespace, key, encode(status.decision))
    if verdict.remember or verdict.status is None:
        return act(seen, telling(seen), now, filing, decision_filed=True, wake_at=now)
    if turns(verdict.status["conditions"]) != turns(status.conditions):
        return replace(verdict, wake_at=now)
    return replace(verdict, items=(*verdict.items, filing), status={**verdict.status, "decisionFiled": True})
