"""Undo a candidate that is shown to be worse."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bramble.api.conditions import rfc3339
from bramble.api.rollout import Release, Undone
from bramble.guardrails.lost import LOST
from bramble.kinds.plan import Plan
from bramble.kinds.rollout.analysis import Judgement
from bramble.kinds.rollout.decision import Action, Decision
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.stating import keep, names, undone


def guardrails(seen: Observed, now: datetime) -> Plan | None:
    """Undo at once when a device refuses the candidate, or a guardrail fails, however short the bake has been.

    A first rollout has nothing to compare with: there a refusal ends it, and silence of those that took the version while the
    others still speak. Once every node has it there is nowhere to stop it from going.
    """
    candidate = seen.status.candidate
    if candidate is None:
        return None
    if refused := seen.refusals():
        said = next(iter(sorted(refused.items())))
        return undo(seen, now, candidate, "Refused", f"refused by {names(refused)}: {said[1]}", seen.judgement)
    judgement = seen.judgement
    lost = judgement.failed(LOST.name)
    if seen.status.stable is None and (seen.at_last_step or not lost):
        return None
    if judgement.verdict != "Fail":
        return None
    return undo(seen, now, candidate, "Lost" if lost else "GuardrailFailed", judgement.messages("Fail"), judgement)


def undo(seen: Observed, now: datetime, candidate: Release, reason: str, message: str, judgement: Judgement) -> Plan:
    """Take the candidate back, and remember why. The assignment follows in the next pass."""
    memory = {**taken_back(seen, candidate, reason, message, now), **decided(seen, now, "Undo", reason, message, judgement)}
    return keep(seen, undone(seen, message), now, judgement=judgement, **memory)


def taken_back(seen: Observed, candidate: Release, reason: str, message: str, now: datetime) -> dict[str, Any]:
    """Memory of an undo."""
    record = Undone(ref=candidate.ref, uid=candidate.uid, attempt=seen.status.attempt, reason=reason, message=message, at=rfc3339(now))
    return {"candidate": None, "undone": record, "step_started_at": "", "baseline": None}


def decided(seen: Observed, now: datetime, action: Action, reason: str, message: str, judgement: Judgement) -> dict[str, Any]:
    """The decision's bundle as memory."""
    candidate, stable = seen.status.candidate, seen.status.stable
    decision = Decision(
        action=action,
        reason=reason,
        message=message,
        at=rfc3339(now),
        attempt=seen.status.attempt,
        step=seen.index,
        stable=stable.ref if stable is not None else "",
        candidate=candidate.ref if candidate is not None else "",
        rules=seen.rules,
        candidate_counters=seen.evidence.candidate,
        stable_counters=seen.evidence.stable,
        judgement=judgement,
    )
    return {"decision": decision.model_dump(mode="json", by_alias=True, exclude_none=True), "decision_filed": False}
