"""What a Rollout needs next. Pure: no await, clock, logger or kopf."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bramble.kinds.objects import Invalid
from bramble.kinds.plan import NOTHING, Plan
from bramble.kinds.rollout.model import Status
from bramble.kinds.rollout.observed import Observed
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
from bramble.kinds.writing import Stated, not_ready, report

Policy = Callable[[Observed, datetime], Plan | None]

POLICIES: tuple[Policy, ...] = (
    withdraw,
    claim,
    superseded,
    press,
    moved,
    assign,
    guardrails,
    file_decision,
    next_step,
    widen,
    begin,
    settle,
)


def plan(seen: Observed | Invalid[Status], now: datetime) -> Plan:
    """The first policy with an opinion decides; each is a file under policies/ with its own table of tests."""
    if isinstance(seen, Invalid):
        return report(seen, Stated("Degraded", (not_ready("InvalidSpec", seen.problem),), frozenset({"InvalidSpec"})), now)
    return next((verdict for policy in POLICIES if (verdict := policy(seen, now)) is not None), NOTHING)
