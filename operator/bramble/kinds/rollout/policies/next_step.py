"""Steps: wait until their nodes have the candidate, watch them, go on; after the last one the candidate is stable."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from bramble.api.conditions import rfc3339
from bramble.api.objects import moment
from bramble.api.rollout import Release
from bramble.api.schema import seconds
from bramble.contracts.report import OFFLINE_SECONDS
from bramble.kinds.plan import Plan
from bramble.kinds.rollout.analysis import Judgement
from bramble.kinds.rollout.assignment import candidate_nodes
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.guardrails import decided, undo
from bramble.kinds.rollout.stating import act, keep, names, paused, progressing

LOOK_AGAIN = timedelta(seconds=5)
"""Silence wakes nobody, so it is looked for."""


def next_step(seen: Observed, now: datetime) -> Plan | None:
    """One of: held at a pause, waiting for nodes, baking, going on."""
    candidate = seen.status.candidate
    if candidate is None:
        return None
    if seen.fleet.hold is not None:
        message = f"step {seen.index + 1} is held: {seen.fleet.hold.message}"
        return act(seen, progressing(seen, seen.fleet.hold.reason, message), now, wake_at=now + LOOK_AGAIN)
    if seen.step.pause is not None:
        message = f"step {seen.index + 1} is a pause: resume, skip, promote or abort it (annotation bramble.dev/request)"
        return act(seen, paused(seen, "PauseStep", message), now, wake_at=now + LOOK_AGAIN)
    nodes = candidate_nodes(seen)
    arrived = seen.verified(candidate, nodes)
    missing = (seen.reachable & set(nodes)) - arrived - seen.abandoned()
    if not seen.status.step_started_at:
        if missing or not arrived:
            return act(seen, progressing(seen, "WaitingForNodes", waiting_for(seen, nodes, missing)), now, wake_at=now + LOOK_AGAIN)
        message = f"step {seen.index + 1}: {len(arrived)} nodes serve {candidate.ref}, verified by digest; watching them"
        return keep(seen, progressing(seen, "Baking", message), now, step_started_at=rfc3339(now))
    return bake(seen, now, candidate)


def waiting_for(seen: Observed, nodes: tuple[str, ...], missing: frozenset[str]) -> str:
    """Which nodes of the step are not there yet, and what they say."""
    if not nodes:
        return "no node can take the candidate: none is reachable, verified on the stable version and has room on its disk"
    if not missing:
        return f"none of {names(nodes)} is reachable and takes it"
    said = [f"{node}: {message}" for node in sorted(missing) if (message := _says(seen, node))]
    return f"step {seen.index + 1}: waiting for {names(missing)}{' (' + '; '.join(said[:3]) + ')' if said else ''}"


def _says(seen: Observed, node: str) -> str:
    running = seen.running.get(node)
    if running is None:
        return "has not heard of it yet"
    if running.candidate is not None:
        return f"{running.candidate.state} {running.candidate.message}".strip()
    return running.message


def bake(seen: Observed, now: datetime, candidate: Release) -> Plan:
    """Watch at least as long as the step says; then go on when every guardrail is shown to be fine."""
    began = moment(seen.status.step_started_at)
    ends = began + timedelta(seconds=seconds(seen.step.bake or "0s"))
    first = seen.status.stable is None
    judgement = seen.judgement
    if now < ends:
        message = f"step {seen.index + 1}: watching for {(ends - now).total_seconds():.0f} s more"
        return act(seen, progressing(seen, "Baking", message), now, judgement=judgement, wake_at=min(ends, now + LOOK_AGAIN))
    if silent := fading(seen, candidate):
        message = f"step {seen.index + 1}: held while {names(silent)} may be lost: no word for more than {OFFLINE_SECONDS} s"
        return act(seen, progressing(seen, "Silence", message), now, judgement=judgement, wake_at=now + LOOK_AGAIN)
    if first or judgement.verdict == "Pass":
        return go_on(seen, now, candidate, "FirstRollout" if first else "GuardrailsPassed", judgement)
    deadline = began + timedelta(seconds=seconds(seen.spec.analysis.deadline))
    if now < deadline:
        message = f"step {seen.index + 1}: held until every guardrail is decided: {judgement.messages('Undecided')}"
        return act(seen, progressing(seen, "Undecided", message), now, judgement=judgement, wake_at=min(deadline, now + LOOK_AGAIN))
    return undecided(seen, now, candidate, judgement)


def fading(seen: Observed, candidate: Release) -> frozenset[str]:
    """Nodes that took the candidate and are silent, but not for long enough to be lost: no step ends before that is known."""
    away = set(candidate_nodes(seen)) - seen.reachable
    return seen.took(away, candidate) - seen.lost(away)


def undecided(seen: Observed, now: datetime, candidate: Release, judgement: Judgement) -> Plan:
    """The deadline has passed without a verdict: what `onUndecided` says."""
    message = f"undecided for {seen.spec.analysis.deadline}: {judgement.messages('Undecided')}"
    match seen.spec.analysis.on_undecided:
        case "Abort":
            return undo(seen, now, candidate, "Undecided", message, judgement)
        case "Promote":
            return go_on(seen, now, candidate, "Undecided", judgement)
        case _:
            stated = paused(seen, "Undecided", f"{message}; resume to watch again, skip, promote or abort")
            return act(seen, stated, now, judgement=judgement, wake_at=now + LOOK_AGAIN)


def go_on(seen: Observed, now: datetime, candidate: Release, reason: str, judgement: Judgement) -> Plan:
    """The next step, or the end: the candidate becomes the stable version."""
    what = f"{candidate.ref} is promoted" if seen.at_last_step else f"step {seen.index + 1} of {len(seen.steps)} is done"
    kept = decided(seen, now, "Promote" if seen.at_last_step else "NextStep", reason, what, judgement)
    return keep(seen, progressing(seen, reason, what), now, judgement=judgement, **after(seen), **kept)


def after(seen: Observed) -> dict[str, Any]:
    """Memory once the present step has ended."""
    status = seen.status
    if not seen.at_last_step:
        return enter(seen, seen.index + 1)
    promoted = {"stable": status.candidate, "candidate": None, "step": len(seen.steps), "step_started_at": "", "baseline": None}
    return {**promoted, "last_good": status.stable} if status.stable is not None else promoted


def enter(seen: Observed, index: int) -> dict[str, Any]:
    """Memory at the beginning of a step. At the last one nobody is left to compare with: the stable cohort's counters so far.

    Where the last step is the first as well, those are what the stable version has counted since it was promoted.
    """
    last = index == len(seen.steps) - 1
    frozen = seen.evidence.stable.model_dump(mode="json", by_alias=True) if last and seen.status.stable is not None else None
    return {"step": index, "step_started_at": "", "baseline": frozen}
