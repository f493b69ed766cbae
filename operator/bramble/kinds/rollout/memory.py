"""What a decision changes in the status' memory, as fields by their Python names. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bramble.api.conditions import MESSAGE_CHARACTERS, rfc3339
from bramble.api.rollout import NAMES_KEPT, Release, Status, Undone
from bramble.contracts.report import OFFLINE_SECONDS
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.analysis import Judgement, error_rates
from bramble.kinds.rollout.decision import Action, Decision, NodeState
from bramble.kinds.rollout.losses import candidate_members
from bramble.kinds.rollout.mistakes import mistakes
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.steps import begun

HISTORY_KEPT = 10
"""How many promoted versions are remembered."""

NOT_WATCHED: dict[str, Any] = {"step_started_at": "", "watched": 0, "passed_over": {}}
"""The memory of a step whose nodes do not serve the candidate yet."""


def step_begins(seen: Observed, index: int, now: datetime) -> dict[str, Any]:
    """The step with this index begins. Its number is above that of every step before in the attempt, also where steps were removed."""
    number = max(index, seen.status.step + 1) if seen.status.candidate is not None else index
    return {"step": number, "begun": begun(seen.steps, index), "waiting_since": rfc3339(now), **NOT_WATCHED}


def passed_over(seen: Observed, nodes: Iterable[str], now: datetime) -> dict[str, Any]:
    """The step goes on without these nodes."""
    named = {**seen.status.passed_over, **dict.fromkeys(sorted(nodes), rfc3339(now))}
    return {"passed_over": dict(list(named.items())[-NAMES_KEPT:])}


def watch_begins(arrived: int, now: datetime) -> dict[str, Any]:
    """The step's nodes are watched from now on.

    Args:
        arrived: how many of them serve the candidate.
    """
    return {"step_started_at": rfc3339(now), "watched": arrived}


def waits_again(now: datetime) -> dict[str, Any]:
    """The step waits for its nodes from the beginning. Nodes that were passed over stay so."""
    return {"waiting_since": rfc3339(now), "step_started_at": "", "watched": 0}


def step_ends(seen: Observed, now: datetime) -> dict[str, Any]:
    """The present step ends: the next one begins, or after the last one the candidate becomes the stable version."""
    status = seen.status
    if not seen.at_last_step:
        return step_begins(seen, seen.index + 1, now)
    history = promotions(status, status.candidate)
    promoted = {
        **candidate_withdrawn(),
        "stable": status.candidate,
        "history": history,
        "step": len(seen.steps),
        "promoted_at": rfc3339(now),
    }
    if status.candidate is not None and status.candidate.uid in status.distrusted:
        promoted["distrusted"] = tuple(uid for uid in status.distrusted if uid != status.candidate.uid)
    return {**promoted, "last_good": status.stable} if status.stable is not None else promoted


def promotions(status: Status, *newest: Release | None) -> tuple[Release, ...]:
    """The versions that were promoted, with `newest` before the others.

    What an earlier version of the operator promoted is known as the stable version and the last good one only.
    """
    found: dict[str, Release] = {}
    for release in (*newest, *status.history, status.stable, status.last_good):
        if release is not None and release.uid:
            found.setdefault(release.uid, release)
    return tuple(found.values())[:HISTORY_KEPT]


def undo_to(seen: Observed, target: Release, reason: str, message: str, now: datetime, **of_decision: Any) -> dict[str, Any]:
    """The fleet goes back to a version that was promoted before, in one write: a new attempt, without steps.

    The version that the spec names is remembered as undone, unless it is that very one. Otherwise it would be tried again at once. Where it
    was undone before, the first cause is kept. The last good version is from now on the one that was promoted before the target:
    the one that the fleet leaves is not good.

    Args:
        of_decision: fields of the decision that are not those of the present attempt.
    """
    status, named = seen.status, seen.spec.model_version_ref.name
    known = (status.candidate, status.stable, seen.wanted)
    uid = next((release.uid for release in known if release is not None and release.ref == named), "")
    attempt = status.attempt + 1
    record = Undone(ref=named, uid=uid, attempt=status.attempt, reason=reason, message=message[:MESSAGE_CHARACTERS], at=rfc3339(now))
    if status.undone is not None and status.undone.ref == named and uid in ("", status.undone.uid):
        record = status.undone
    history = promotions(status)
    older = history[[release.uid for release in history].index(target.uid) + 1 :]
    left = status.candidate or status.stable
    changes = {
        **candidate_withdrawn(),
        "attempt": attempt,
        "stable": target,
        "last_good": older[0] if older else None,
        "history": promotions(status, target),
        "promoted_at": "",
        "undone": None if named == target.ref else record,
    }
    names = {"attempt": attempt, "stable": target.ref, "candidate": left.ref if left else ""}
    return {**changes, **decision(seen, "Undo", reason, message, now, **names, **of_decision)}


def undo_promoted(seen: Observed, stable: Release, target: Release, judgement: Judgement, message: str, now: datetime) -> dict[str, Any]:
    """The fleet goes back from a version that was promoted and turned bad. No watch goes back to that one.

    Where the spec names another version by now, that one is at no fault: it is tried as soon as it can be, unless it was undone before.
    """
    rules = seen.watch_asked.rules if seen.watch_asked is not None else ()
    found = {"rules": rules, "evidence": seen.watch_evidence, "judgement": judgement}
    changes = undo_to(seen, target, reasons.WATCH_FAILED, message, now, **found)
    if seen.spec.model_version_ref.name not in (stable.ref, target.ref):
        changes["undone"] = seen.status.undone
    return {**changes, **distrusted(seen, stable)}


def distrusted(seen: Observed, stable: Release) -> dict[str, Any]:
    """No watch goes back to this version, which turned bad after its promotion."""
    return {"distrusted": tuple(dict.fromkeys((stable.uid, *seen.status.distrusted)))[:HISTORY_KEPT]}


def candidate_withdrawn() -> dict[str, Any]:
    """The candidate is taken back. The next pass tells the devices."""
    return {"candidate": None, "begun": None, "waiting_since": "", **NOT_WATCHED, "departed": ()}


def undo(seen: Observed, candidate: Release, reason: str, message: str, now: datetime) -> dict[str, Any]:
    """The candidate is taken back for a reason that is remembered, so that it is not tried again by itself."""
    said = message[:MESSAGE_CHARACTERS]
    record = Undone(ref=candidate.ref, uid=candidate.uid, attempt=seen.status.attempt, reason=reason, message=said, at=rfc3339(now))
    return {**candidate_withdrawn(), "undone": record, **decision(seen, "Undo", reason, message, now)}


def decision(seen: Observed, action: Action, reason: str, message: str, now: datetime, **changes: Any) -> dict[str, Any]:
    """The decision is kept with all its evidence; a later pass files a copy in the store.

    Args:
        changes: fields of the decision that are not those of the present attempt.
    """
    candidate, stable = seen.status.candidate, seen.status.stable
    members = candidate_members(seen.status, seen.nodes) if candidate is not None else frozenset()
    kept = Decision(
        action=action,
        reason=reason,
        message=message,
        at=rfc3339(now),
        attempt=seen.status.attempt,
        step=seen.status.step if seen.status.begun is not None else seen.index,
        stable=stable.ref if stable is not None else "",
        candidate=candidate.ref if candidate is not None else "",
        rules=seen.rules,
        evidence=seen.evidence,
        rates=error_rates(seen.spec.analysis),
        judgement=seen.judgement,
        nodes=tuple(NodeState(node=node, said=last_words(seen, node)) for node in sorted(members)[:NAMES_KEPT]),
        mistakes=mistakes(*seen.counts.confusions()) if candidate is not None and action == "Undo" else (),
    ).model_copy(update=changes)
    return {"decision": kept.model_dump(mode="json", by_alias=True, exclude_none=True), "decision_filed": False}


def last_words(seen: Observed, node: str) -> str:
    """What a node with the candidate last said, for a person who wants to know why the version was undone."""
    report, trial = seen.nodes.report(node), seen.trials.get(node)
    serves = node in seen.nodes.verified(seen.status.candidate, (node,))
    if report is None:
        said = "was never heard of"
    elif report.age_seconds > OFFLINE_SECONDS:
        said = f"silent for {report.age_seconds:.0f} s"
    elif trial is not None and trial.state != "serving":
        said = f"{trial.state} {trial.message}".strip()
    else:
        said = "serves it" if serves else "does not serve it"
    if node in seen.status.departed:
        return f"left the fleet; {said}"
    return f"passed over; {said}" if node in seen.status.passed_over else said
