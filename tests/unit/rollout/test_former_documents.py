"""Documents of the version before, in which every count was a field of its own. Agents are upgraded after the operator."""

from __future__ import annotations

from typing import Any

from bramble.contracts.counters import BUCKETS, PREDICT
from bramble.contracts.report import Report
from bramble.guardrails.evidence import CohortCounters
from bramble.kinds.rollout.decision import Decision
from tests.unit.rollout.rows import NODES, V2, baking, canaries, digest, observed, tried

LATENCY = {"buckets": [0] * 20 + [200] + [0] * (BUCKETS - 21), "sumMs": 120.5}
COUNTS = {"requests": 200, "errors": 50, "right": 60, "wrong": 3, "crashes": 1}


def report(node: str) -> Report:
    """As an agent of the version before sends it."""
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
    seen = observed(ref=V2, status=baking(), reports=reports, written=tried("a", "b"))
    found = seen.evidence.candidate
    assert found.count("requests") == 400
    assert found.count("errors") == 100
    assert found.nodes["errors"] == 2
    assert found.nodes["accuracy"] == 1


def test_a_baseline_that_an_earlier_operator_froze_is_compared_with() -> None:
    baseline = {**COUNTS, "nodes": 3, "labelled": 2, "lost": 1, "members": 4, "latency": LATENCY}
    seen = observed(ref=V2, status=baking(step=2, baseline=baseline), reports=canaries(*NODES), written=tried(*NODES))
    stable = seen.evidence.stable
    assert stable.counts == COUNTS
    assert stable.histogram(PREDICT).count == 200
    assert stable.lost == 1
    assert stable.members == 4
    assert stable.nodes == {"errors": 3, "crashes": 3, "latency": 3, "accuracy": 2}


def counters(requests: int, errors: int, nodes: int) -> dict[str, Any]:
    latency = {"buckets": [0] * 20 + [requests] + [0] * (BUCKETS - 21), "sumMs": 0.0}
    counts = {"requests": requests, "errors": errors, "right": 0, "wrong": 0, "crashes": 0}
    return {**counts, "nodes": nodes, "labelled": 0, "lost": 0, "members": nodes, "latency": latency}


def test_a_decision_that_was_stored_before_gives_the_same_verdict() -> None:
    rates = {"candidateRate": 0.25, "stableRate": 0.0, "candidateEvents": 200, "stableEvents": 600}
    nobody = {"candidateRate": 0.0, "stableRate": 0.0, "candidateEvents": 1, "stableEvents": 3}
    decision = Decision.model_validate(
        {
            "schema_": "bramble.dev/decision/v1", "action": "Undo", "reason": "GuardrailFailed", "message": "errors: 25 % of 200 bad",
            "at": "2026-11-21T12:00:00Z", "attempt": 2, "step": 0, "stable": "digits-1-0-0", "candidate": "digits-2-0-0",
            "rules": [{"metric": "errors", "maxRatio": 1.5, "minEvents": 100, "minNodes": 1}],
            "candidateCounters": counters(200, 50, 1), "stableCounters": counters(600, 0, 3),
            "judgement": {"verdict": "Fail", "guardrails": [
                {"metric": "lost", "verdict": "Pass", **nobody, "message": "0 of 1 candidate nodes fell silent"},
                {"metric": "errors", "verdict": "Fail", **rates, "message": "errors: 25 % of 200 bad"},
            ]},
        }
    )  # fmt: skip
    assert decision.reproduces()
    assert not decision.model_copy(update={"candidate_counters": CohortCounters()}).reproduces()
