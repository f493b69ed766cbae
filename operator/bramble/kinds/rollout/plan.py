"""What a Rollout needs next. Pure: no await, clock, logger or kopf."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bramble.api.objects import Invalid
from bramble.api.rollout import Status
from bramble.kinds.plan import NOTHING, Plan
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.adopt import adopt
from bramble.kinds.rollout.policies.assign import assign
from bramble.kinds.rollout.policies.begin import begin
from bramble.kinds.rollout.policies.claim import claim
from bramble.kinds.rollout.policies.file_decision import file_decision
from bramble.kinds.rollout.policies.guardrails import guardrails
from bramble.kinds.rollout.policies.moved import moved
from bramble.kinds.rollout.policies.next_step import next_step
from bramble.kinds.rollout.policies.press import press
from bramble.kinds.rollout.policies.settle import settle
from bramble.kinds.rollout.policies.superseded import superseded
from bramble.kinds.rollout.policies.widen import widen
from bramble.kinds.rollout.policies.withdraw import withdraw
from bramble.kinds.rollout.stating import EVENTS
from bramble.kinds.status_update import INVALID_SPEC, StatusUpdate, not_ready, report

Policy = Callable[[Observed, datetime], Plan | None]

AT_ONCE: tuple[Policy, ...] = (withdraw, claim, superseded, adopt, press, moved, assign, guardrails)
"""What waits for nothing: the end, people, and taking a candidate back."""

IN_TURN: tuple[Policy, ...] = (next_step, widen, begin, settle)
"""What goes on, one decision after another has been kept."""


def plan(seen: Observed | Invalid[Status], now: datetime) -> Plan:
    """The first policy with an opinion decides; each is a file under policies/ with its own table of tests."""
    if isinstance(seen, Invalid):
        return report(seen, StatusUpdate("Degraded", (not_ready(INVALID_SPEC, seen.problem),), EVENTS), now)
    if (verdict := first(AT_ONCE, seen, now)) is not None:
        return verdict
    return file_decision(seen, first(IN_TURN, seen, now) or NOTHING, now)


def first(policies: tuple[Policy, ...], seen: Observed, now: datetime) -> Plan | None:
    """The verdict of the first policy that has an opinion."""
    return next((verdict for policy in policies if (verdict := policy(seen, now)) is not None), None)
