"""Files a copy of the last decision in the store, beside whatever else the pass does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bramble.kinds.plan import FileResult, Plan
from bramble.kinds.rollout.decision import Decision, decision_key, encode, read_decision
from bramble.kinds.rollout.incident.incident import Incident, differences
from bramble.kinds.rollout.incident.markdown import render_markdown
from bramble.kinds.rollout.incident.page import render_page
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import assigning, report_rollout


def file_decision(seen: Observed, planned: Plan, now: datetime) -> Plan:
    """What a later policy planned, with the filing of a decision that the store does not have yet.

    A plan that changes a condition is carried out first, without waiting for the store: a store that does not answer must not keep people
    from reading how things stand. `Ready` does not count, since the engine reports there that the store does not answer.

    A plan that changes memory waits until the decision is filed; otherwise the next decision would overwrite it. So no step ends while the
    store does not answer. Undoing a candidate and writing the assignment come before and wait for nothing.
    """
    status, metadata = seen.status, seen.metadata
    if status.decision is None or status.decision_filed:
        return planned
    decision = read_decision(status.decision)
    key = decision_key(metadata.namespace, metadata.name, metadata.uid, decision)
    filings = [FileResult(metadata.namespace, key, encode(status.decision))]
    if isinstance(decision, Decision) and decision.action == "Undo":
        filings += incident_report(seen, decision, key.removesuffix(".json"))
    if planned.remember or planned.status is None:
        return report_rollout(seen, assigning(seen), now, *filings, decision_filed=True, wake_at=now)
    if truths(planned.status["conditions"]) != truths(status.conditions):
        return replace(planned, wake_at=now)
    return replace(planned, items=(*planned.items, *filings), status={**planned.status, "decisionFiled": True})


def incident_report(seen: Observed, decision: Decision, key: str) -> list[FileResult]:
    """The report of an undo for people, beside the decision: as Markdown and as a page."""
    incident = Incident(
        rollout=f"{seen.metadata.namespace}/{seen.metadata.name}",
        fleet=seen.fleet.name,
        decision=decision,
        timeline=seen.status.timeline,
        differences=differences(seen.origins.get(decision.stable), seen.origins.get(decision.candidate)),
    )
    forms = {".md": render_markdown(incident), ".html": render_page(incident)}
    return [FileResult(seen.metadata.namespace, key + ending, text.encode(errors="replace")) for ending, text in forms.items()]


def truths(conditions: Iterable[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    """Type, status and reason of every condition but Ready."""
    return {(each["type"], each["status"], each["reason"]) for each in conditions if each["type"] != "Ready"}
