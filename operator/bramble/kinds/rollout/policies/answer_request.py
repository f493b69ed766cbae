"""The requests that a Rollout answers: resume, skip, promote, abort, retry and undo."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from bramble.api.conditions import is_true, rfc3339
from bramble.api.request import UNDO, Request, unanswered
from bramble.api.rollout import Release
from bramble.kinds import requests
from bramble.kinds.plan import Plan
from bramble.kinds.requests import Accepted, Refused
from bramble.kinds.rollout import memory, reasons
from bramble.kinds.rollout.decision import Action
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import figures, noted, progressing, undone, waiting
from bramble.kinds.status_update import StatusUpdate

ACTIONS = ("resume", "skip", "promote", "abort", "retry", UNDO)
GOES_ON = frozenset({"resume", "skip", "promote", UNDO})
"""Requests that give nodes another version. They need a Fleet that may be used: one that exists and allows the namespace."""


def answer_request(seen: Observed, now: datetime) -> Plan | None:
    """Answer a request once: carry it out, or refuse it and say why."""

    def decide(request: Request) -> Accepted | Refused:
        candidate = seen.status.candidate
        if request.action == "retry":
            return retry(seen)
        if request.action in GOES_ON and (blocker := seen.fleet.blocker) is not None:
            return Refused(f"{blocker.message}; until then a candidate can only be undone (abort)")
        if request.action == UNDO:
            return undo_to(seen, now)
        if candidate is None:
            return Refused(f"no version is being tried, so there is nothing to {request.action}")
        if request.action == "resume" and seen.step.pause is None and not is_true(seen.status.conditions, "Paused"):
            return Refused("the Rollout is not paused: use skip to end this step without waiting for its analysis")
        if gives_every_node(seen, request.action) and (blind := seen.blind) is not None:
            return Refused(f"{blind}; skip ends a step without its analysis")
        message, changes = effect(seen, request.action, candidate, now)
        update = undone(seen, message) if request.action == "abort" else progressing(seen, reasons.REQUESTED, message)
        return Accepted(message, without_events(update), {**changes, **noted(seen, update, now)})

    status = seen.status
    if unanswered(seen.metadata, status) is None:  # most passes: they need not compute the figures
        return None
    return requests.answer_request(
        seen.rollout, now, decide, actions=ACTIONS, attempt=status.attempt, step=status.step, fields=figures(seen)
    )


def gives_every_node(seen: Observed, action: str) -> bool:
    """Whether the action begins the step with every node though it is to be judged there."""
    if action == "promote":
        return not seen.at_last_step
    return action == "resume" and seen.step.pause is not None and seen.every_node_next


def without_events(update: StatusUpdate) -> StatusUpdate:
    """The same update without events of its conditions, since the event of the answered request already says what happened."""
    return replace(update, events={})


def retry(seen: Observed) -> Accepted | Refused:
    """Forget that the version was undone, so that it is tried again."""
    if seen.status.undone is None:
        return Refused("nothing was undone, so there is nothing to retry")
    message = f"{seen.status.undone.ref} is tried again in a new attempt, with new evidence"
    return Accepted(message, without_events(waiting(seen, reasons.REQUESTED, message)), {"undone": None})


def undo_to(seen: Observed, now: datetime) -> Accepted | Refused:
    """Go back to a version that was promoted before, without steps."""
    target = seen.target
    if isinstance(target, Refused) or target is None:
        return target or Refused("name a version in `to`")
    stable, candidate = seen.status.stable, seen.status.candidate
    if candidate is None and stable is not None and stable.uid == target.uid:
        return Refused(f"the fleet serves {target.ref} already")
    left = candidate or stable
    message = f"the fleet goes back {f'from {left.ref} ' if left is not None else ''}to {target.ref}, on every node at once"
    update = undone(seen, message)
    return Accepted(
        message, without_events(update), {**memory.undo_to(seen, target, reasons.REQUESTED, message, now), **noted(seen, update, now)}
    )


def effect(seen: Observed, action: str, candidate: Release, now: datetime) -> tuple[str, dict[str, Any]]:
    """What an action on the candidate does, as a message, and the memory that it changes."""

    def decided(what: Action, message: str) -> dict[str, Any]:
        return memory.decision(seen, what, reasons.REQUESTED, message, now)

    match action:
        case "resume" if seen.step.pause is None:
            again = {"step_started_at": rfc3339(now)} if seen.status.step_started_at else {**memory.waits_again(now), "passed_over": {}}
            return f"step {seen.index + 1} is watched again from the beginning", again
        case "resume" | "skip":
            message = f"{candidate.ref} is promoted" if seen.at_last_step else f"step {seen.index + 1} of {len(seen.steps)} is ended"
            return message, {**memory.step_ends(seen, now), **decided("Promote" if seen.at_last_step else "NextStep", message)}
        case "promote":
            message = f"{candidate.ref} goes to every node; the last step still watches it"
            return message, {**memory.step_begins(seen, len(seen.steps) - 1, now), **decided("NextStep", message)}
        case _:
            message = f"{candidate.ref} is undone"
            return message, memory.undo(seen, candidate, reasons.REQUESTED, message, now)
