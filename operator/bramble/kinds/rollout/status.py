"""The status of a Rollout: its conditions, its phase, and the figures beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from bramble.api.conditions import Condition, rfc3339
from bramble.api.rollout import Moment, NodesSeen, Undone
from bramble.contracts.names import first_names
from bramble.kinds.plan import Emit, Item, Plan
from bramble.kinds.requests import Refused
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.assignment import eligible_nodes
from bramble.kinds.rollout.elapsed import stored
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.watch_time import ALWAYS, watch_state, watch_until
from bramble.kinds.status_update import READY, StatusUpdate, not_ready, ready, remember, report

Phase = Literal["Healthy", "Progressing", "Paused", "Degraded"]

UNREACHABLE_LISTED = 50
NAMES_LISTED = 5
MOMENTS_KEPT = 30
MOMENT_CHARACTERS = 200

NO_CANDIDATE = Condition("Progressing", "False", reasons.NO_CANDIDATE, "no version is being tried")
NOT_PAUSED = Condition("Paused", "False", reasons.NOT_PAUSED, "the Rollout does not wait for a person")


def healthy(seen: Observed) -> StatusUpdate:
    """The fleet serves the version that the spec names."""
    stable, fleet = seen.status.stable, seen.fleet.nodes
    message = f"{stable.ref} is served by {len(seen.nodes.verified(stable))} of {len(fleet)} nodes, verified by digest" if stable else ""
    return _update(seen, "Healthy", ready(reasons.PROMOTED, message), NO_CANDIDATE, NOT_PAUSED)


def waiting(seen: Observed, reason: str, message: str, *, degraded: bool = False) -> StatusUpdate:
    """The fleet does not serve the version that the spec names, and no version is being tried."""
    return _update(seen, "Degraded" if degraded else "Progressing", not_ready(reason, message), NO_CANDIDATE, NOT_PAUSED)


def progressing(seen: Observed, reason: str, message: str) -> StatusUpdate:
    """A version is being tried."""
    return _update(seen, "Progressing", not_ready(reason, message), Condition("Progressing", "True", reason, message), NOT_PAUSED)


TOO_LARGE = "; the evidence of so many nodes and guardrails does not fit into its ConfigMap, so"


def paused(seen: Observed, reason: str, message: str) -> StatusUpdate:
    """A version is being tried, and the Rollout waits for a person. That is a Warning where no step of the spec asks for it."""
    conditions = Condition("Progressing", "False", reason, message), Condition("Paused", "True", reason, message)
    update = _update(seen, "Paused", not_ready(reason, message), *conditions)
    return replace(update, events={**update.events, reasons.UNDECIDED: "Warning"})


def undone(seen: Observed, message: str) -> StatusUpdate:
    """The version that the spec names was taken back."""
    return _update(seen, "Degraded", not_ready(reasons.UNDONE, message), NO_CANDIDATE, NOT_PAUSED)


def still_undone(seen: Observed, record: Undone) -> StatusUpdate:
    """The version that the spec names was taken back before. If the fleet has left a promoted version since, that is said as well."""
    decided = seen.status.decision or {}
    later = decided.get("message", "") if decided.get("reason") == reasons.WATCH_FAILED else ""
    return undone(seen, record.message if later in ("", record.message) else f"{record.ref}: {record.message}; after that, {later}")


def turned_bad(seen: Observed) -> StatusUpdate | None:
    """The fleet serves a version that turned bad after its promotion, and that could not be undone; None where it does not."""
    stable, judgement = seen.status.stable, seen.watch_judgement
    if stable is None or judgement is None or judgement.verdict != "Fail":
        return None
    why = seen.fallback.message if isinstance(seen.fallback, Refused) else "there is no version to go back to"
    message = f"{stable.ref} was promoted and turned bad ({judgement.messages('Fail')}), and cannot be undone: {why}"
    return waiting(seen, reasons.CANNOT_UNDO, f"{message}; request undo to another version, or roll one out", degraded=True)


def assigning(seen: Observed) -> StatusUpdate:
    """The assignment is about to be written, or has just been."""
    status = seen.status
    if status.undone is not None:
        return still_undone(seen, status.undone)
    if status.candidate is not None:
        return progressing(seen, reasons.ASSIGNING, f"step {seen.index + 1}: its nodes are being told to serve {status.candidate.ref}")
    order = f"serve {status.stable.ref}" if status.stable is not None else "stop serving"
    return waiting(seen, reasons.ASSIGNING, f"the nodes are being told to {order}")


def _update(seen: Observed, phase: Phase, *conditions: Condition) -> StatusUpdate:
    return StatusUpdate(phase, (*conditions, _aborted(seen), _analysable(seen), _verified(seen)), reasons.EVENTS)


def _aborted(seen: Observed) -> Condition:
    """Whether the version that the spec names was undone."""
    undone = seen.status.undone
    if undone is None:
        return Condition("Aborted", "False", reasons.NOT_ABORTED, "the version that the spec names was not undone")
    return Condition("Aborted", "True", undone.reason, f"{undone.ref}: {undone.message}")


def _analysable(seen: Observed) -> Condition:
    """Whether there is a stable cohort to compare with; in the last step, whether there was one when it began."""
    if seen.status.candidate is None:
        left_out = _left_out(seen) if seen.watch_asked is not None else ""
        return Condition("Analysable", "Unknown", reasons.NO_CANDIDATE, f"no version is being tried{left_out}")
    left_out = _left_out(seen)
    if seen.status.stable is None:
        message = f"no stable version to compare with: the steps set the pace, limits are judged{left_out}"
        return Condition("Analysable", "False", reasons.FIRST_ROLLOUT, message)
    if members := len(seen.counts.others):
        message = f"the candidate is compared with {members} nodes on the stable version{left_out}"
        return Condition("Analysable", "True", reasons.COMPARABLE, message)
    if any(guard.frozen is not None and guard.frozen.whole.events for guard in seen.ledger.guards):
        message = f"every node has the candidate; it is compared with what the stable version counted before{left_out}"
        return Condition("Analysable", "True", reasons.COMPARABLE, message)
    message = "every node has the candidate, and nothing was counted for the stable version before; let the first step have fewer nodes"
    return Condition("Analysable", "False", reasons.NO_STABLE_COHORT, f"{message}{left_out}")


def _left_out(seen: Observed) -> str:
    """What of the evidence does not fit into its ConfigMap."""
    ledger, nodes = seen.ledger, seen.fleet.nodes
    if left_out := sum(not ledger.is_counted(node) for node in nodes) if ledger.part < 1 else 0:
        return f"{TOO_LARGE} {left_out} of {len(nodes)} nodes are not counted in this attempt; fewer guardrails leave room for more"
    return f"{TOO_LARGE} what each node counted before is left out" if ledger.forgotten else ""


def _verified(seen: Observed) -> Condition:
    """Whether every reachable node serves, by digest, the version that it should."""
    stable, candidate, assignment, nodes = seen.status.stable, seen.status.candidate, seen.assignment, seen.nodes
    away = set(nodes.unreachable) - nodes.doubtful
    silent = f"; no answer from {names(away)}" if away else ""
    silent += f"; two agents report as {names(nodes.doubtful)} (see the Fleet)" if nodes.doubtful else ""
    if stable is None and candidate is None:
        if assignment is None:
            return Condition("Verified", "Unknown", reasons.NOTHING_ASSIGNED, "no version was ever rolled out")
        if serving := nodes.serving_this_rollout:
            return Condition("Verified", "False", reasons.VERIFYING, f"waiting for {names(serving)} to stop serving{silent}")
        message = f"{len(nodes.reachable)} nodes serve nothing, as they should{silent}"
        return Condition("Verified", "True", reasons.NOTHING_SERVED, message)
    canaries = set(assignment.candidate_nodes) if assignment is not None and candidate is not None else set()
    expected = nodes.reachable if stable is not None else nodes.reachable & canaries
    right = nodes.verified(candidate, canaries) | nodes.verified(stable, set(seen.fleet.nodes) - canaries)
    if missing := expected - right:
        message = f"{len(missing)} nodes do not serve the version that they should yet: {names(missing)}{silent}"
        return Condition("Verified", "False", reasons.VERIFYING, message)
    return Condition("Verified", "True", reasons.BY_DIGEST, f"{len(right)} nodes serve the version that they should{silent}")


def figures(seen: Observed) -> dict[str, Any]:
    """The fields of the status that are no memory: how many nodes serve what, and the judgement of the version that is being tried."""
    nodes = NodesSeen(
        eligible=len(eligible_nodes(seen)),
        stable=len(seen.nodes.verified(seen.status.stable)),
        candidate=len(seen.nodes.verified(seen.status.candidate)),
        unreachable=seen.nodes.unreachable[:UNREACHABLE_LISTED],
    )
    kept: dict[str, Any] = {"nodes": nodes, "watch": watch(seen), "elapsed": stored(seen.status, seen.elapsed)}
    if seen.status.candidate is None:
        return kept
    judged = seen.judgement.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {**kept, "analysis": {"attempt": seen.status.attempt, "step": seen.index, **judged}}


def watch(seen: Observed) -> dict[str, Any] | None:
    """The watch of the stable version; None where there is none. Its verdicts are those of the last time while it is paused or over."""
    state, stable = watch_state(seen.rollout, seen.now), seen.status.stable
    if state is None or stable is None:
        return None
    until = watch_until(seen.rollout)
    former = seen.status.watch or {}
    verdicts = former.get("guardrails", []) if former.get("since") == seen.status.promoted_at else []
    if seen.watch_judgement is not None:
        verdicts = seen.watch_judgement.model_dump(mode="json", by_alias=True, exclude_none=True)["guardrails"]
    end = rfc3339(until) if until is not None else ALWAYS
    return {"version": stable.ref, "state": state, "since": seen.status.promoted_at, "until": end, "guardrails": verdicts}


def report_rollout(
    seen: Observed, update: StatusUpdate, now: datetime, *items: Item, wake_at: datetime | None = None, **fields: Any
) -> Plan:
    """Plan a pass that carries out `items` and writes the status, and changes no memory."""
    return report(seen.rollout, update, now, items=items, fields={**figures(seen), **fields}, wake_at=wake_at)


def remember_rollout(seen: Observed, update: StatusUpdate, now: datetime, *, events: tuple[Emit, ...] = (), **memory: Any) -> Plan:
    """Plan a pass that changes memory, writes the figures too, and does nothing else."""
    return remember(seen.rollout, update, now, events=events, **{**figures(seen), **noted(seen, update, now), **memory})


def noted(seen: Observed, update: StatusUpdate, now: datetime) -> dict[str, Any]:
    """The time line of the attempt, with what is decided now."""
    said = next(condition for condition in update.conditions if condition.type == READY)
    moment = Moment(at=rfc3339(now), reason=said.reason, message=said.message[:MOMENT_CHARACTERS])
    return {"timeline": (*seen.status.timeline, moment)[-MOMENTS_KEPT:]}


def names(nodes: Iterable[str]) -> str:
    """The first few names in order, and how many more there are."""
    return first_names(sorted(nodes), NAMES_LISTED)
