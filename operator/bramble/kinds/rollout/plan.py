"""What a Rollout needs next. Pure: no await, clock, logger or kopf."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bramble.api.objects import Invalid
from bramble.api.rollout import Status
from bramble.kinds.plan import NOTHING, Plan
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.add_boards import add_boards
from bramble.kinds.rollout.policies.adopt import adopt
from bramble.kinds.rollout.policies.answer_request import answer_request
from bramble.kinds.rollout.policies.assign import assign
from bramble.kinds.rollout.policies.begin import begin
from bramble.kinds.rollout.policies.file_decision import file_decision
from bramble.kinds.rollout.policies.finalizer import finalizer
from bramble.kinds.rollout.policies.guardrails import guardrails
from bramble.kinds.rollout.policies.keep_evidence import keep_evidence
from bramble.kinds.rollout.policies.next_step import next_step
from bramble.kinds.rollout.policies.note_departures import note_departures
from bramble.kinds.rollout.policies.reference_changed import reference_changed
from bramble.kinds.rollout.policies.remember_step import remember_step
from bramble.kinds.rollout.policies.report_health import report_health
from bramble.kinds.rollout.policies.undo_promoted import undo_promoted
from bramble.kinds.rollout.policies.withdraw import withdraw
from bramble.kinds.rollout.policies.yield_to_rival import yield_to_rival
from bramble.kinds.rollout.reasons import EVENTS
from bramble.kinds.status_update import INVALID_SPEC, StatusUpdate, not_ready, report

Policy = Callable[[Observed, datetime], Plan | None]

AT_ONCE: tuple[Policy, ...] = (
    withdraw,
    finalizer,
    yield_to_rival,
    adopt,
    answer_request,
    reference_changed,
    remember_step,
    note_departures,
    assign,
    guardrails,
    undo_promoted,
)
"""Policies that do not wait for the last decision to be filed in the store: deletion, requests, and taking a version back."""

AFTER_FILING: tuple[Policy, ...] = (next_step, add_boards, begin, report_health)
"""Policies whose decisions wait until the last one is filed."""


def plan(seen: Observed | Invalid[Status], now: datetime) -> Plan:
    """The first policy with an opinion decides; each is a file under policies/ with its own table of tests."""
    if isinstance(seen, Invalid):
        return report(seen, StatusUpdate("Degraded", (not_ready(INVALID_SPEC, seen.problem),), EVENTS), now)
    seen = seen.at(now)
    if (verdict := first(AT_ONCE, seen, now)) is None:
        verdict = file_decision(seen, first(AFTER_FILING, seen, now) or NOTHING, now)
    return keep_evidence(seen, verdict, now)


def first(policies: tuple[Policy, ...], seen: Observed, now: datetime) -> Plan | None:
    """The plan of the first policy that has an opinion."""
    return next((verdict for policy in policies if (verdict := policy(seen, now)) is not None), None)
