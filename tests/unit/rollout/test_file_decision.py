"""When a decision is filed in the store, and what does not wait for it."""

from __future__ import annotations

import pytest

from bramble.kinds.plan import NOTHING, FileResult, Plan
from bramble.kinds.rollout.decision import Decision
from bramble.kinds.rollout.policies.file_decision import file_decision
from bramble.kinds.rollout.policies.guardrails import guardrails
from bramble.kinds.rollout.policies.next_step import next_step
from tests.unit.rollout.rows import DONE, NOW, V2, baking, canaries, items, kept, observed, orders, undone, with_candidate

row = pytest.param
UNCHANGED = Plan(status={"phase": "Degraded", "conditions": ()})
TURNED = Plan(status={"conditions": [{"type": "Verified", "status": "True", "reason": "ByDigest"}]})
FILED = ["FileResult"] * 3
"""The decision, and the report of the undo as Markdown and as a page."""
MEMORY = Plan(status={"attempt": 3}, remember=True)


@pytest.mark.parametrize(
    ("filed", "verdict", "expected"),
    [
        row(False, UNCHANGED, FILED, id="it is filed beside a plan that changes no condition"),
        row(True, UNCHANGED, [], id="it has been filed before"),
        row(False, TURNED, [], id="a condition changes, so that is written first"),
        row(False, MEMORY, FILED, id="another decision waits until this one is filed"),
        row(True, MEMORY, [], id="another decision is made once this one is filed"),
        row(False, NOTHING, FILED, id="it is filed where there is nothing else to do"),
    ],
)
def test_file_decision(filed: bool, verdict: Plan, expected: list[str]) -> None:
    decision = kept((bad := with_candidate(canaries("a", errors=50))), guardrails(bad, NOW))["decision"]
    status = {"undone": undone(), "attempt": 2, "decision": decision, "decision_filed": filed}
    plan = file_decision(observed(ref=V2, status=status, written=orders()), verdict, NOW)
    assert items(plan) == expected
    if not expected:
        assert plan.status == verdict.status
        assert (plan.wake_at == NOW) is not filed, "the next pass files it"
        return
    files = {item.store_key: item.content for item in plan.items if isinstance(item, FileResult)}
    key = "decisions/rollout/ads/digits/uid-of-rollout/2-0-undo"
    assert list(files) == [f"{key}.json", f"{key}.md", f"{key}.html"]
    assert Decision.model_validate_json(files[f"{key}.json"]).judgement.verdict == "Fail"
    assert plan.status is not None
    assert plan.status["decisionFiled"] is True
    assert not plan.remember
    assert plan.status.get("attempt", 2) == 2, "the other decision is not made yet"
    assert plan.status["phase"] == "Degraded"


def test_without_a_decision_nothing_is_filed() -> None:
    assert file_decision(observed(), UNCHANGED, NOW) is UNCHANGED


def test_only_an_undo_leaves_a_report() -> None:
    seen = with_candidate(canaries("a"), status=baking(DONE))
    decision = kept(seen, next_step(seen, NOW))["decision"]
    plan = file_decision(observed(ref=V2, status={"decision": decision}, written=orders()), NOTHING, NOW)
    assert items(plan) == ["FileResult"]
