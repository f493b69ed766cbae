"""Undoes a candidate that is shown to be worse."""

from __future__ import annotations

from datetime import datetime

from bramble.guardrails.lost import LOST
from bramble.kinds.plan import Plan
from bramble.kinds.rollout import memory, reasons
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import names, remember_rollout, undone


def guardrails(seen: Observed, now: datetime) -> Plan | None:
    """Undo as soon as a device refuses the candidate or a guardrail fails, even before the bake is over.

    A first version has no stable version to be compared with. A refusal undoes it, and so does a rate above a limit, and so do lost nodes
    as long as there are nodes that it has not reached; once every node has it, an undo would not bring one back.
    """
    candidate = seen.status.candidate
    if candidate is None:
        return None
    nobody_to_protect = seen.status.stable is None and seen.at_last_step
    failed = [
        verdict
        for verdict in seen.judgement.guardrails
        if verdict.verdict == "Fail" and not (nobody_to_protect and verdict.metric == LOST.name)
    ]
    if refusals := seen.refusals:
        _, said = min(refusals.items())
        reason, message = reasons.REFUSED, f"refused by {names(refusals)}: {said}"
    elif failed:
        reason = reasons.LOST if any(verdict.metric == LOST.name for verdict in failed) else reasons.GUARDRAIL_FAILED
        message = "; ".join(verdict.message for verdict in failed)
    else:
        return None
    return remember_rollout(seen, undone(seen, message), now, **memory.undo(seen, candidate, reason, message, now))
