"""The buttons: resume, skip, promote, abort, retry."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bramble.api.conditions import rfc3339
from bramble.api.request import Request
from bramble.kinds.plan import Plan
from bramble.kinds.requests import Accepted, Refused, answer_request
from bramble.kinds.rollout.decision import Action
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.guardrails import decided, taken_back
from bramble.kinds.rollout.policies.next_step import after, enter
from bramble.kinds.rollout.stating import fields, progressing, undone, waiting
from bramble.kinds.status_update import StatusUpdate

ACTIONS = ("resume", "skip", "promote", "abort", "retry")
Effect = tuple[str, dict[str, Any]]


def press(seen: Observed, now: datetime) -> Plan | None:
    """Answer a request once: carry it out, or refuse it and say why."""

    def decide(request: Request) -> Accepted | Refused:
        if problem := refusal(seen, request):
            return Refused(problem)
        message, memory = effect(seen, request, now)
        return Accepted(message, present(seen, memory, message), memory)

    status = seen.status
    return answer_request(seen.rollout, now, decide, actions=ACTIONS, attempt=status.attempt, step=status.step, fields=fields(seen, None))


def present(seen: Observed, memory: dict[str, Any], message: str) -> StatusUpdate:
    """How things stand just after the request."""
    taken_back = memory.get("undone", seen.status.undone)
    if taken_back is not None:
        return undone(seen, taken_back.message)
    if seen.status.candidate is not None:
        return progressing(seen, "Requested", message)
    return waiting(seen, "Requested", message)


def refusal(seen: Observed, asked: Request) -> str:
    """Why the request cannot be carried out now, or nothing."""
    if asked.action == "retry":
        return "" if seen.status.undone is not None else "nothing was undone, so there is nothing to retry"
    if seen.status.candidate is None:
        return f"no version is being tried, so there is nothing to {asked.action}"
    if asked.action == "resume" and not on_hold(seen):
        return "the Rollout is not paused: use skip to end this step without waiting for its analysis"
    return ""


def on_hold(seen: Observed) -> bool:
    """At a pause of the steps, or held because analysis stayed undecided."""
    held = any(condition["type"] == "Paused" and condition["status"] == "True" for condition in seen.status.conditions)
    return seen.step.pause is not None or held


def effect(seen: Observed, asked: Request, now: datetime) -> Effect:
    """What the request changes in memory, and how to say so."""
    match asked.action:
        case "resume" if seen.step.pause is None:
            return "analysis begins anew", {"step_started_at": rfc3339(now)}
        case "resume" | "skip":
            message = f"step {seen.index + 1} ended by request"
            action: Action = "Promote" if seen.at_last_step else "NextStep"
            return message, {**after(seen), **decided(seen, now, action, "Requested", message, seen.judgement)}
        case "promote":
            message = "going to every node; the last step still bakes"
            return message, {**enter(seen, len(seen.steps) - 1), **decided(seen, now, "NextStep", "Requested", message, seen.judgement)}
        case "abort" if seen.status.candidate is not None:
            message = "undone by request"
            memory = taken_back(seen, seen.status.candidate, "Requested", message, now)
            return message, {**memory, **decided(seen, now, "Undo", "Requested", message, seen.judgement)}
        case _:
            return "a new attempt with fresh evidence", {"undone": None}
