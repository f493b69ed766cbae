"""Documents of earlier releases. Agents are upgraded after the operator, and decisions stay in the store."""

from __future__ import annotations

from typing import Any

from bramble.contracts.counters import BUCKETS, PREDICT
from bramble.contracts.report import Report
from bramble.kinds.plan import FileResult
from bramble.kinds.rollout.decision import Decision, FormerDecision, read_decision
from bramble.kinds.rollout.policies.file_decision import file_decision
from tests.unit.rollout.rows import NOW, V2, baking, canaries, digest, observed, orders, tried
from tests.unit.rollout.test_file_decision import UNCHANGED

LATENCY = {"buckets": [0] * 20 + [200] + [0] * (BUCKETS - 21), "sumMs": 120.5}
COUNTS = {"requests": 200, "errors": 50, "right": 60, "wrong": 3, "crashes": 1}


def report(node: str) -> Report:
    """As an agent sends it in which every count was a field of its own."""
    line = {"namespace": "ads", "model": "digits", "package": digest("2.0.0"), "cohort": "candidate", "attempt": 2}
    document: dict[str, Any] = {
        "schema": "bramble.dev/report/v1", "node": node, "fleet": "demo", "board": "rpi5", "bootId": "b", "instance": "i", "uptimeMs": 1,
        "sequence": 1, "running": [], "counters": [{**line, **COUNTS, "latency": LATENCY}], "facts": None,
        "health": {"freeBytes": None, "memoryBytes": None, "peakMemoryBytes": None, "temperatureCelsius": None, "throttled": None},
    }  # fmt: skip
    return Report.model_validate(document)


def test_a_report_of_an_earlier_agent_counts_like_one_of_today() -> None:
    (line,) = report("a").counters
    assert line.counts == COUNTS
    assert line.histogram(PREDICT).count == 200
    assert line.histogram(PREDICT).sum_ms == 120.5
    assert Report.model_validate_json(report("a").model_dump_json()) == report("a")


def test_reports_of_earlier_agents_and_those_of_today_add_up() -> None:
    reports = canaries("a", "b", errors=50)
    reports["a"] = reports["a"].model_copy(update={"report": report("a")})
    _, errors = observed(ref=V2, status=baking(), reports=reports, written=tried("a", "b")).evidence
    assert (errors.candidate.events, errors.candidate.bad, errors.candidate.nodes) == (400, 100, 2)


def counters(requests: int, errors: int, nodes: int) -> dict[str, Any]:
    latency = {"buckets": [0] * 20 + [requests] + [0] * (BUCKETS - 21), "sumMs": 0.0}
    return {
        "counts": {"requests": requests, "errors": errors},
        "histograms": {"predict": latency},
        "nodes": {"errors": nodes},
        "members": nodes,
    }


FORMER: dict[str, Any] = {
    "schema_": "bramble.dev/decision/v1", "action": "Undo", "reason": "GuardrailFailed", "message": "errors: 25 % of 200 bad",
    "at": "2026-11-21T12:00:00Z", "attempt": 2, "step": 0, "stable": "digits-1-0-0", "candidate": "digits-2-0-0",
    "rules": [{"metric": "errors", "maxRatio": 1.5, "minEvents": 100, "minNodes": 1}],
    "candidateCounters": counters(200, 50, 1), "stableCounters": counters(600, 0, 3),
    "judgement": {"verdict": "Fail", "guardrails": [{"metric": "errors", "verdict": "Fail", "message": "errors: 25 % of 200 bad"}]},
}  # fmt: skip
"""As the releases before evidence stored it."""


def test_a_decision_that_was_stored_before_is_still_read() -> None:
    decision = read_decision(FORMER)
    assert isinstance(decision, FormerDecision)
    assert (decision.action, decision.attempt, decision.step) == ("Undo", 2, 0)
    assert decision.candidate_counters.count("errors") == 50
    assert decision.judgement["verdict"] == "Fail"


def test_a_decision_of_the_time_when_lost_compared_shares_is_still_read() -> None:
    shares = {"metric": "lost", "candidate": {"bad": 1, "events": 10, "nodes": 10}, "stable": {"bad": 0, "events": 90, "nodes": 90}}
    rule = {"metric": "lost", "maxRatio": 1.5, "minEvents": 0, "minNodes": 0}
    former = {name: FORMER[name] for name in ("action", "message", "at", "attempt", "step", "candidate", "judgement")}
    document = {**former, "schema_": "bramble.dev/decision/v2", "reason": "Lost", "rules": [rule], "evidence": [shares]}
    document["judgement"] = {"verdict": "Fail", "guardrails": []}
    decision = read_decision({**document, "rates": {"falseRollback": 0.01, "falsePromotion": 0.05}})
    assert isinstance(decision, Decision)
    assert decision.evidence[0].candidate.bad == 1
    assert decision.again().verdict == "Pass", "what it was decided by is not known any more"


def test_a_decision_that_an_earlier_operator_could_not_file_is_filed_as_it_is() -> None:
    planned = file_decision(observed(ref=V2, status={"attempt": 2, "decision": FORMER}, written=orders()), UNCHANGED, NOW)
    (item,) = planned.items
    assert isinstance(item, FileResult)
    assert item.store_key.endswith("/2-0-undo.json")
    assert isinstance(read_decision(FORMER), FormerDecision)


def test_a_step_that_an_earlier_operator_watched_goes_on_with_new_evidence() -> None:
    """Its baseline is a field that is not known any more."""
    status = baking() | {"baseline": {"counts": COUNTS, "members": 3}}
    seen = observed(ref=V2, status=status, reports=canaries("a"), written=tried("a"))
    assert seen.evidence[1].stable.events == 600
