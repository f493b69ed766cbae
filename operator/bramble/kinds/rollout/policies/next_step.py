"""Takes the candidate from step to step: wait for the step's nodes, watch them, go on. After the last step it is promoted."""

from __future__ import annotations

from datetime import datetime, timedelta

from bramble.api.conditions import rfc3339
from bramble.api.rollout import NAMES_KEPT, Release
from bramble.api.schema import seconds
from bramble.contracts.report import OFFLINE_SECONDS
from bramble.evidence.verdict import MINUTE, time_in_words
from bramble.guardrails.lost import LOST
from bramble.kinds.plan import Emit, Plan
from bramble.kinds.rollout import memory, reasons
from bramble.kinds.rollout.arrivals import GRACE, Arrivals, arrivals_of, grace_is_over
from bramble.kinds.rollout.elapsed import left, step_began
from bramble.kinds.rollout.losses import candidate_members, unheard_with_candidate
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.reasons import EVENTS
from bramble.kinds.rollout.status import names, paused, progressing, remember_rollout, report_rollout, undone

LOOK_AGAIN = timedelta(seconds=5)
"""A node that falls silent causes no event that would start a pass."""

MINUTES = f"{GRACE.seconds // 60} minutes"


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
        since = f" since {seen.status.waiting_since}" if seen.status.waiting_since else ""
        message = f"{step} is a pause{since}: resume, skip, promote or abort it (annotation bramble.dev/request)"
        return report_rollout(seen, paused(seen, reasons.PAUSE_STEP, message), now, wake_at=now + LOOK_AGAIN)
    arrivals = arrivals_of(seen, candidate)
    unnamed = arrivals.abandoned - seen.status.passed_over.keys()
    if unnamed and len(seen.status.passed_over) < NAMES_KEPT and not seen.at_last_step:
        return go_on_without(seen, now, arrivals, arrivals.abandoned, f"gave {candidate.ref} up")
    if arrivals.hopeless:
        message = f"{step}: {names(arrivals.abandoned)} gave {candidate.ref} up and cannot try it again in this attempt: abort, then retry"
        return undecided(seen, now, candidate, message, at_once=True)
    if seen.status.step_started_at:
        return bake(seen, now, candidate, arrivals)
    return await_nodes(seen, now, candidate, arrivals)


def await_nodes(seen: Observed, now: datetime, candidate: Release, arrivals: Arrivals) -> Plan:
    """Wait until the step's nodes serve the candidate. After the grace, go on without those that do not, or with others in their place."""
    step, late = f"step {seen.index + 1}", grace_is_over(seen)
    if arrivals.enough and not arrivals.missing:
        verified = f"{len(arrivals.arrived)} nodes serve {candidate.ref}, verified by digest"
        update = progressing(seen, reasons.BAKING, f"{step}: {verified}; watching them for at least {seen.step.bake}")
        return remember_rollout(seen, update, now, **memory.watch_begins(len(arrivals.arrived), now))
    if late and arrivals.missing and (arrivals.enough or (seen.status.waiting_since and not seen.at_last_step)):
        return go_on_without(seen, now, arrivals, arrivals.missing, f"did not serve {candidate.ref} within {MINUTES}")
    message = f"{step}: {waiting_for(seen, candidate, arrivals)}"
    if not seen.status.waiting_since:
        return remember_rollout(seen, progressing(seen, reasons.WAITING_FOR_NODES, message), now, waiting_since=rfc3339(now))
    if not (time_left := until_deadline(seen)):
        return undecided(seen, now, candidate, message)
    update = progressing(seen, reasons.WAITING_FOR_NODES, message)
    return report_rollout(seen, update, now, wake_at=now + min(time_left, LOOK_AGAIN))


def until_deadline(seen: Observed) -> timedelta:
    """How much of `analysis.deadline` is left to the step."""
    return left(seconds(seen.spec.analysis.deadline), seen.elapsed[step_began(seen.status)])


def go_on_without(seen: Observed, now: datetime, arrivals: Arrivals, nodes: frozenset[str], why: str) -> Plan:
    """Pass these nodes over. The step is watched if enough others serve the candidate, else it waits for others in their place."""
    said = [f"{node}: {text}" for node in sorted(nodes) if (text := _reported(seen, node))]
    message = f"step {seen.index + 1} goes on without {names(nodes)}, which {why}{' (' + '; '.join(said[:2]) + ')' if said else ''}"
    watched = bool(seen.status.step_started_at)
    changes = memory.passed_over(seen, nodes, now)
    if arrivals.enough and not watched:
        changes |= memory.watch_begins(len(arrivals.arrived), now)
    elif watched and not arrivals.enough:
        changes |= memory.waits_again(now)
    update = progressing(seen, reasons.BAKING if arrivals.enough else reasons.WAITING_FOR_NODES, message)
    event = Emit(EVENTS[reasons.PASSED_OVER], reasons.PASSED_OVER, message)
    return remember_rollout(seen, update, now, events=(event,), **changes)


def waiting_for(seen: Observed, candidate: Release, arrivals: Arrivals) -> str:
    """Which nodes of the step do not serve the candidate yet, and what they report about it."""
    missing, nodes = arrivals.missing, arrivals.nodes
    if not nodes:
        return "no node can take the candidate: it must answer, serve the stable version and have room on its disk"
    if not missing:
        away = set(nodes) - arrivals.arrived
        return f"no node of {names(away)} serves {candidate.ref}: they do not answer, or gave it up"
    reported = [f"{node}: {text}" for node in sorted(missing) if (text := _reported(seen, node))]
    return f"waiting for {names(missing)} to serve {candidate.ref}{' (' + '; '.join(reported[:3]) + ')' if reported else ''}"


def _reported(seen: Observed, node: str) -> str:
    running = seen.nodes.running.get(node)
    if running is None:
        return "has not been told yet"
    if running.candidate is not None:
        return f"{running.candidate.state} {running.candidate.message}".strip()
    return running.message


def bake(seen: Observed, now: datetime, candidate: Release, arrivals: Arrivals) -> Plan:
    """Watch the step's nodes for at least as long as the step says. Then go on once every guardrail has passed.

    A step does not end while a node that took the candidate is silent and may be lost, nor before enough nodes have served the candidate
    for the whole bake. A first version is paced by time, and held by nodes that are lost to it as long as there are others.
    """
    step = f"step {seen.index + 1}"
    if len(arrivals.nodes) < arrivals.needed and not seen.at_last_step:
        message = f"{step} waits for other nodes: too few of its nodes are left"
        return remember_rollout(seen, progressing(seen, reasons.WAITING_FOR_NODES, message), now, **memory.waits_again(now))
    watched, time = seen.elapsed[step_began(seen.status)], seconds(seen.step.bake or "0s")
    if to_watch := left(time, watched):
        update = progressing(seen, reasons.BAKING, f"{step}: watching its nodes for {_in_words(to_watch)} more")
        return report_rollout(seen, update, now, wake_at=now + min(to_watch, LOOK_AGAIN))
    late, time_left = watched >= time + GRACE.total_seconds(), until_deadline(seen)
    if late and arrivals.missing and not arrivals.enough and not seen.at_last_step:
        return go_on_without(seen, now, arrivals, arrivals.missing, f"ceased to serve {candidate.ref}")
    if (held := held_by_nodes(seen, candidate, arrivals, late=late)) is not None:
        reason, message = held[0], f"{step} waits: {held[1]}"
    elif seen.status.stable is None and (seen.at_last_step or seen.judgement.of(LOST.name) != "Undecided"):
        return end_step(seen, now, candidate, reasons.FIRST_ROLLOUT)
    elif seen.judgement.verdict == "Pass":
        return end_step(seen, now, candidate, reasons.GUARDRAILS_PASSED)
    else:
        evidence = seen.judgement.messages("Undecided")
        reason, message = reasons.COLLECTING_EVIDENCE, f"{step} waits until every guardrail is decided: {evidence}"
        if hopeless := never_decided(seen):
            evidence = f"{hopeless}, and every node has {candidate.ref}, so no more will be counted"
        if hopeless or not time_left:
            return undecided(seen, now, candidate, evidence, may_go_on=True, at_once=bool(time_left))
    if not time_left:
        return undecided(seen, now, candidate, message)
    return report_rollout(seen, progressing(seen, reason, message), now, wake_at=now + min(time_left, LOOK_AGAIN))


def _in_words(time: timedelta) -> str:
    seconds_left = time.total_seconds()
    return f"{seconds_left:.0f} s" if seconds_left < 2 * MINUTE else time_in_words(seconds_left)


def never_decided(seen: Observed) -> str:
    """The guardrails of a step with every node that can never be decided, as after a `skip`: the stable version had too few events to
    compare with, and no ceiling is set. Empty where there is none, or the candidate has too few events.
    """
    if seen.counts.others:
        return ""
    return "; ".join(
        f"{rule.title}: {verdict.stable_events} of {rule.min_events} events on stable nodes"
        for rule, verdict in zip(seen.rules, seen.judgement.guardrails, strict=True)
        if verdict.verdict == "Undecided" and rule.ceiling is None and verdict.stable_events < rule.min_events <= verdict.candidate_events
    )


def held_by_nodes(seen: Observed, candidate: Release, arrivals: Arrivals, *, late: bool) -> tuple[str, str] | None:
    """Why the step cannot end for its nodes, as reason and message; None where it can.

    Args:
        late: whether the grace for nodes that were not watched for the whole bake is over. Enough others must have been.
    """
    if silent := silent_not_lost(seen, candidate):
        return reasons.SILENCE, f"{names(silent)} did not report for more than {OFFLINE_SECONDS} s and may be lost"
    young = arrivals.arrived - arrivals.watched
    awaited = (young | arrivals.missing) - seen.status.passed_over.keys()
    if len(arrivals.watched) >= arrivals.needed and (late or not awaited):
        return None
    if young:
        return reasons.BAKING, f"{names(young)} served {candidate.ref} for less than {seen.step.bake} so far"
    return reasons.WAITING_FOR_NODES, waiting_for(seen, candidate, arrivals)


def silent_not_lost(seen: Observed, candidate: Release) -> frozenset[str]:
    """Nodes that took the candidate and do not answer, but have not been silent for long enough to be lost."""
    members = candidate_members(seen.status, seen.nodes)
    away = members - seen.nodes.answering(members)
    unheard = unheard_with_candidate(seen.status, seen.nodes, last_step=seen.at_last_step)
    return (seen.nodes.last_reported_on(candidate, away) | unheard) - seen.nodes.silent(away)


def undecided(seen: Observed, now: datetime, candidate: Release, why: str, *, may_go_on: bool = False, at_once: bool = False) -> Plan:
    """Do what `onUndecided` says: the deadline has passed, or the step can never end.

    Args:
        may_go_on: whether the step's nodes were watched for the whole bake, so that only evidence is missing. Otherwise `Promote` would
            give the candidate to more nodes though nobody has watched it, and the Rollout pauses instead. So it does where most nodes
            with the candidate answered nothing while stable nodes did.
        at_once: whether that is so before the deadline, because the step can never end.
    """
    message = f"undecided{'' if at_once else f' for {seen.spec.analysis.deadline}'}: {why}"
    choice = seen.spec.analysis.on_undecided
    if choice == "Abort":
        changes = memory.undo(seen, candidate, reasons.UNDECIDED, message, now)
        return remember_rollout(seen, undone(seen, message), now, **changes)
    if choice == "Promote" and may_go_on and not any(evidence.mostly_idle for evidence in seen.evidence):
        return end_step(seen, now, candidate, reasons.UNDECIDED)
    return ask_a_person(seen, now, f"{message}; request resume to watch again, or skip, promote or abort")


def ask_a_person(seen: Observed, now: datetime, message: str) -> Plan:
    """Pause the step, which is undecided."""
    return report_rollout(seen, paused(seen, reasons.UNDECIDED, message), now, wake_at=now + LOOK_AGAIN)


def end_step(seen: Observed, now: datetime, candidate: Release, why: str) -> Plan:
    """Go on to the next step; after the last one the candidate becomes the stable version.

    The step with every node waits until the stable version has been watched for long enough to be compared with afterwards. At the deadline
    the Rollout pauses, whatever `onUndecided` says: the candidate has passed and is not at fault, and nobody could judge it on every node.
    """
    if seen.every_node_next and (blind := seen.blind) is not None:
        if not (time_left := until_deadline(seen)):
            why = f"undecided for {seen.spec.analysis.deadline}: {blind}"
            return ask_a_person(seen, now, f"{why}; request resume to watch again, or skip or abort")
        update = progressing(seen, reasons.COLLECTING_EVIDENCE, blind)
        return report_rollout(seen, update, now, wake_at=now + min(time_left, LOOK_AGAIN))
    if seen.at_last_step:
        reason, message = reasons.PROMOTED, f"{candidate.ref} is promoted: it is the stable version now"
    else:
        reason, message = reasons.STEP_DONE, f"{candidate.ref}: step {seen.index + 1} of {len(seen.steps)} is done"
    decision = memory.decision(seen, "Promote" if seen.at_last_step else "NextStep", why, message, now)
    update, event = progressing(seen, reason, message), Emit("Normal", reason, message)
    return remember_rollout(seen, update, now, events=(event,), **memory.step_ends(seen, now), **decision)
