"""Takes the candidate from step to step: wait for the step's nodes, watch them, go on. After the last step it is promoted."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.api.conditions import rfc3339
from bramble.api.objects import moment
from bramble.api.rollout import Release
from bramble.api.schema import seconds
from bramble.contracts.report import OFFLINE_SECONDS
from bramble.kinds.plan import Emit, Plan
from bramble.kinds.rollout import memory, reasons
from bramble.kinds.rollout.assignment import candidate_nodes
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import names, paused, progressing, remember_rollout, report_rollout, undone

LOOK_AGAIN = timedelta(seconds=5)
"""A node that falls silent causes no event that would start a pass."""


def next_step(seen: Observed, now: datetime) -> Plan | None:
    """Hold the step, wait for its nodes, or watch them."""
    candidate = seen.status.candidate
    if candidate is None:
        return None
    step = f"step {seen.index + 1}"
    if seen.fleet.blocker is not None:
        update = progressing(seen, seen.fleet.blocker.reason, f"{step} waits: {seen.fleet.blocker.message}")
        return report_rollout(seen, update, now, wake_at=now + LOOK_AGAIN)
    if seen.step.pause is not None:
        message = f"{step} is a pause: resume, skip, promote or abort it (annotation bramble.dev/request)"
        return report_rollout(seen, paused(seen, reasons.PAUSE_STEP, message), now, wake_at=now + LOOK_AGAIN)
    if seen.status.step_started_at:
        return bake(seen, now, candidate)
    nodes = candidate_nodes(seen)
    arrived = seen.nodes.verified(candidate, nodes)
    missing = (seen.nodes.reachable & set(nodes)) - arrived - seen.abandoned
    if missing or not arrived:
        update = progressing(seen, reasons.WAITING_FOR_NODES, f"{step}: {waiting_for(seen, candidate, nodes, missing)}")
        return report_rollout(seen, update, now, wake_at=now + LOOK_AGAIN)
    message = f"{step}: {len(arrived)} nodes serve {candidate.ref}, verified by digest; watching them for at least {seen.step.bake}"
    return remember_rollout(seen, progressing(seen, reasons.BAKING, message), now, step_started_at=rfc3339(now))


def waiting_for(seen: Observed, candidate: Release, nodes: tuple[str, ...], missing: frozenset[str]) -> str:
    """Which nodes of the step do not serve the candidate yet, and what they report about it."""
    if not nodes:
        return "no node can take the candidate: it must answer, serve the stable version and have room on its disk"
    if not missing:
        return f"no node of {names(nodes)} serves {candidate.ref}: they do not answer, or gave it up"
    reported = [f"{node}: {text}" for node in sorted(missing) if (text := _reported(seen, node))]
    return f"waiting for {names(missing)} to serve {candidate.ref}{' (' + '; '.join(reported[:3]) + ')' if reported else ''}"


def _reported(seen: Observed, node: str) -> str:
    running = seen.nodes.running.get(node)
    if running is None:
        return "has not been told yet"
    if running.candidate is not None:
        return f"{running.candidate.state} {running.candidate.message}".strip()
    return running.message


def bake(seen: Observed, now: datetime, candidate: Release) -> Plan:
    """Watch the step's nodes for at least as long as the step says. Then go on once every guardrail has passed.

    A step does not end while a node that took the candidate is silent and may be lost. A first version is paced by time alone.
    """
    step = f"step {seen.index + 1}"
    began = moment(seen.status.step_started_at)
    ends = began + timedelta(seconds=seconds(seen.step.bake or "0s"))
    deadline = began + timedelta(seconds=seconds(seen.spec.analysis.deadline))
    if now < ends:
        update = progressing(seen, reasons.BAKING, f"{step}: watching its nodes for {(ends - now).total_seconds():.0f} s more")
        return report_rollout(seen, update, now, wake_at=min(ends, now + LOOK_AGAIN))
    if silent := silent_not_lost(seen, candidate):
        message = f"{step} waits: {names(silent)} did not report for more than {OFFLINE_SECONDS} s and may be lost"
        return report_rollout(seen, progressing(seen, reasons.SILENCE, message), now, wake_at=now + LOOK_AGAIN)
    if seen.status.stable is None:
        return end_step(seen, now, candidate, reasons.FIRST_ROLLOUT)
    if seen.judgement.verdict == "Pass":
        return end_step(seen, now, candidate, reasons.GUARDRAILS_PASSED)
    if now < deadline:
        message = f"{step} waits until every guardrail is decided: {seen.judgement.messages('Undecided')}"
        update = progressing(seen, reasons.COLLECTING_EVIDENCE, message)
        return report_rollout(seen, update, now, wake_at=min(deadline, now + LOOK_AGAIN))
    return undecided(seen, now, candidate)


def silent_not_lost(seen: Observed, candidate: Release) -> frozenset[str]:
    """Nodes that took the candidate and do not answer, but have not been silent for long enough to be lost."""
    away = set(candidate_nodes(seen)) - seen.nodes.reachable
    return seen.nodes.last_reported_on(candidate, away) - seen.nodes.silent(away)


def undecided(seen: Observed, now: datetime, candidate: Release) -> Plan:
    """Do what `onUndecided` says: the deadline of the analysis has passed without a verdict."""
    message = f"undecided for {seen.spec.analysis.deadline}: {seen.judgement.messages('Undecided')}"
    match seen.spec.analysis.on_undecided:
        case "Abort":
            changes = memory.undo(seen, candidate, reasons.UNDECIDED, message, now)
            return remember_rollout(seen, undone(seen, message), now, **changes)
        case "Promote":
            return end_step(seen, now, candidate, reasons.UNDECIDED)
        case "Pause":
            update = paused(seen, reasons.UNDECIDED, f"{message}; request resume to watch again, or skip, promote or abort")
            return report_rollout(seen, update, now, wake_at=now + LOOK_AGAIN)


def end_step(seen: Observed, now: datetime, candidate: Release, why: str) -> Plan:
    """Go on to the next step; after the last one the candidate becomes the stable version."""
    if seen.at_last_step:
        reason, message = reasons.PROMOTED, f"{candidate.ref} is promoted: it is the stable version now"
    else:
        reason, message = reasons.STEP_DONE, f"{candidate.ref}: step {seen.index + 1} of {len(seen.steps)} is done"
    decision = memory.decision(seen, "Promote" if seen.at_last_step else "NextStep", why, message, now)
    update, event = progressing(seen, reason, message), Emit("Normal", reason, message)
    return remember_rollout(seen, update, now, events=(event,), **memory.step_ends(seen), **decision)
