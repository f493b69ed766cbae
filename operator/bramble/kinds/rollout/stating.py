"""What a Rollout says of itself: conditions, phase, and the figures beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from bramble.api.conditions import Condition
from bramble.api.rollout import NodesSeen
from bramble.kinds.blockers import STORE_EVENTS
from bramble.kinds.plan import EventType, Item, Plan
from bramble.kinds.rollout.analysis import Judgement
from bramble.kinds.rollout.assignment import eligible_nodes
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.status_update import INVALID_SPEC, StatusUpdate, not_ready, ready, remember, report

Phase = Literal["Healthy", "Progressing", "Paused", "Degraded"]

UNREACHABLE_LISTED = 50
EVENTS: Mapping[str, EventType] = {
    "Adopted": "Normal",
    "BoardAdded": "Normal",
    "Started": "Normal",
    "GuardrailsPassed": "Normal",
    "FirstRollout": "Normal",
    "PauseStep": "Normal",
    "Promoted": "Normal",
    "ReferenceMoved": "Normal",
    "Withdrawing": "Normal",
    "Undone": "Warning",
    "Superseded": "Warning",
    "Undecided": "Warning",
    "FleetInvalid": "Warning",
    "FleetNotAllowed": "Warning",
    "ModelVersionInvalid": "Warning",
    "NoEvidence": "Warning",
    "OtherModel": "Warning",
    "PackageInvalid": "Warning",
    "PackageMissing": "Warning",
    INVALID_SPEC: "Warning",
    **STORE_EVENTS,
}
"""Reasons that are worth an event (`StatusUpdate.events`)."""

NOTHING_OUT = Condition("Progressing", "False", "NothingOut", "no version is being tried")
NOT_PAUSED = Condition("Paused", "False", "NotPaused")


def healthy(seen: Observed) -> StatusUpdate:
    """The fleet runs what the spec names."""
    stable = seen.status.stable
    what = f"{stable.ref} on {len(seen.verified(stable))} of {len(seen.fleet.nodes)} nodes" if stable is not None else "nothing"
    return _stated(seen, "Healthy", ready("Promoted", f"{what}, each verified by digest"), NOTHING_OUT, NOT_PAUSED)


def waiting(seen: Observed, reason: str, message: str, *, degraded: bool = False) -> StatusUpdate:
    """The spec names something that the fleet does not run, and nothing is out."""
    return _stated(seen, "Degraded" if degraded else "Progressing", not_ready(reason, message), NOTHING_OUT, NOT_PAUSED)


def progressing(seen: Observed, reason: str, message: str) -> StatusUpdate:
    """A version is on its way."""
    return _stated(seen, "Progressing", not_ready(reason, message), Condition("Progressing", "True", reason, message), NOT_PAUSED)


def paused(seen: Observed, reason: str, message: str) -> StatusUpdate:
    """A version is out, and a person is waited for."""
    conditions = Condition("Progressing", "False", reason, message), Condition("Paused", "True", reason, message)
    return _stated(seen, "Paused", not_ready(reason, message), *conditions)


def undone(seen: Observed, message: str) -> StatusUpdate:
    """The version that the spec names was taken back."""
    return _stated(seen, "Degraded", not_ready("Undone", message), NOTHING_OUT, NOT_PAUSED)


def _stated(seen: Observed, phase: Phase, *conditions: Condition) -> StatusUpdate:
    return StatusUpdate(phase, (*conditions, _aborted(seen), _analysable(seen), _verified(seen)), EVENTS)


def _aborted(seen: Observed) -> Condition:
    undone = seen.status.undone
    if undone is None:
        return Condition("Aborted", "False", "NotAborted")
    return Condition("Aborted", "True", undone.reason, f"{undone.ref}: {undone.message}")


def _analysable(seen: Observed) -> Condition:
    """Whether there is, or was at the last step, a stable cohort to compare with."""
    if seen.status.candidate is None:
        return Condition("Analysable", "Unknown", "NothingOut", "no version is being tried")
    if seen.status.stable is None:
        return Condition("Analysable", "False", "FirstRollout", "there is no stable version to compare with; steps are paced only")
    members = seen.evidence.stable.members
    if members:
        return Condition("Analysable", "True", "Comparable", f"{members} nodes on the stable version to compare with")
    message = "every node has the candidate and none was left to compare with; begin with a smaller step"
    return Condition("Analysable", "False", "NoStableCohort", message)


def _verified(seen: Observed) -> Condition:
    """Whether every reachable node serves, by digest, what it should."""
    stable, candidate = seen.status.stable, seen.status.candidate
    assignment = seen.ours
    away = f"; not reachable: {', '.join(seen.unreachable[:5])}" if seen.unreachable else ""
    if stable is None and candidate is None:
        if assignment is None:
            return Condition("Verified", "Unknown", "NothingAssigned", "no version was ever rolled out")
        if serving := seen.serving_ours():
            return Condition("Verified", "False", "NotYet", f"{len(serving)} nodes have not stopped serving yet: {names(serving)}{away}")
        return Condition("Verified", "True", "NothingServed", f"{len(seen.reachable)} nodes serve nothing, as they should{away}")
    canaries = set(assignment.candidate_nodes) if assignment is not None and candidate is not None else set()
    expected = seen.reachable if stable is not None else seen.reachable & canaries
    right = seen.verified(candidate, canaries) | seen.verified(stable, set(seen.fleet.nodes) - canaries)
    missing = sorted(expected - right)
    if missing:
        return Condition(
            "Verified", "False", "NotYet", f"{len(missing)} nodes do not serve their version yet: {', '.join(missing[:5])}{away}"
        )
    return Condition("Verified", "True", "ByDigest", f"{len(right)} nodes serve what they should{away}")


def fields(seen: Observed, judgement: Judgement | None) -> dict[str, Any]:
    """The parts of the status that are not memory."""
    shown = None
    if judgement is not None:
        shown = {"attempt": seen.status.attempt, "step": seen.index, **judgement.model_dump(mode="json", by_alias=True, exclude_none=True)}
    nodes = NodesSeen(
        eligible=len(eligible_nodes(seen)),
        stable=len(seen.verified(seen.status.stable)),
        candidate=len(seen.verified(seen.status.candidate)),
        unreachable=seen.unreachable[:UNREACHABLE_LISTED],
    )
    return {"nodes": nodes, "analysis": shown if shown is not None else seen.status.analysis}


def act(
    seen: Observed,
    stated: StatusUpdate,
    now: datetime,
    *items: Item,
    judgement: Judgement | None = None,
    wake_at: datetime | None = None,
    **more: Any,
) -> Plan:
    """A pass that writes these items and tells how things stand."""
    return report(seen.rollout, stated, now, items=items, fields={**fields(seen, judgement), **more}, wake_at=wake_at)


def keep(seen: Observed, stated: StatusUpdate, now: datetime, *, judgement: Judgement | None = None, **memory: Any) -> Plan:
    """A pass that changes memory and nothing else."""
    return remember(seen.rollout, stated, now, **{**fields(seen, judgement), **memory})


def names(nodes: Iterable[str], limit: int = 5) -> str:
    """A few names, and how many more."""
    listed = sorted(nodes)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return f"{', '.join(listed[:limit])}{more}"
