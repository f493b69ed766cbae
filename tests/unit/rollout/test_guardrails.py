"""What undoes a candidate, and what is kept of a decision."""

from __future__ import annotations

import pytest

from bramble.contracts.report import CandidateState
from bramble.kinds.plan import NOTHING, FileResult, Plan
from bramble.kinds.rollout.decision import Decision
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.file_decision import file_decision
from bramble.kinds.rollout.policies.guardrails import guardrails
from tests.unit.rollout.rows import (
    NODES,
    NOW,
    V1,
    V2,
    baking,
    canaries,
    device,
    digest,
    items,
    kept,
    observed,
    orders,
    told,
    undone,
)

row = pytest.param


REFUSED = CandidateState(package=digest("2.0.0"), state="refused", message="golden case 3 differs")
GIVEN_UP = CandidateState(package=digest("2.0.0"), state="abandoned", message="no word from the gateway for 600 s")
TRYING = CandidateState(package=digest("2.0.0"), state="trying")


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        row(observed(), None, id="nothing is out"),
        row(told(canaries("a")), None, id="all is well"),
        row(told(canaries("a", errors=50)), "GuardrailFailed", id="too many errors, also in the middle of a bake"),
        row(told(canaries("a", errors=50, others_errors=50)), None, id="the others err as much"),
        row(told(canaries("a", errors=5, requests=10)), None, id="too few events to say"),
        row(told(canaries("a") | {"a": device("a", attempt=2, state=REFUSED)}), "Refused", id="a device refuses it"),
        row(told(canaries("a") | {"a": device("a", attempt=2, state=GIVEN_UP)}), "Lost", id="the only canary gave it up"),
        row(told(canaries("a") | {"a": device("a", attempt=2, state=TRYING)}), None, id="a device tries it"),
        row(told(canaries("a") | {"a": device("a", attempt=1, state=REFUSED)}), None, id="a refusal of an earlier attempt"),
        row(told(canaries("a") | {"b": device("b", attempt=2, state=REFUSED)}), None, id="a refusal by a node that was not asked"),
        row(told(canaries("a", silent=["a"])), "Lost", id="the canary fell silent after it took it"),
        row(told(canaries("a", silent=["a"]), proves_silence=False), None, id="a young gateway proves no silence"),
        row(told(canaries("a", silent=NODES)), None, id="everybody is silent: that is no news of the candidate"),
        row(told(canaries("a", silent=["b"])), None, id="another node fell silent"),
        row(told({"a": device("a", V1, age=60)} | {n: device(n) for n in "bcd"}), None, id="silent before it took it"),
        row(told(canaries("a", errors=200), status=baking(stable=None)), None, id="a first version has nothing to compare with"),
        row(told(canaries("a", silent=["a"]), status=baking(stable=None)), "Lost", id="but its nodes may be lost"),
        row(
            told(canaries(*NODES, silent=["a"]), status=baking(stable=None, step=2), on=NODES),
            None,
            id="once all have it there is no way back",
        ),
        row(
            told(canaries("a") | {"a": device("a", attempt=2, state=REFUSED)}, status=baking(stable=None)),
            "Refused",
            id="a first version, refused",
        ),
    ],
)
def test_guardrails(seen: Observed, reason: str | None) -> None:
    plan = guardrails(seen, NOW)
    changes = kept(seen, plan)
    assert changes.get("undone", {}).get("reason") == reason
    if reason is None:
        assert plan is None
        return
    assert plan is not None
    assert plan.remember
    assert changes["candidate"] is None
    decision = Decision.model_validate(changes["decision"])
    assert (decision.action, decision.reason) == ("Undo", reason)
    assert decision.reproduces()


VERDICT = Plan(status={"phase": "Degraded", "conditions": ()})
TURNED = Plan(status={"conditions": [{"type": "Verified", "status": "True", "reason": "ByDigest"}]})
MEMORY = Plan(status={"attempt": 3}, remember=True)


@pytest.mark.parametrize(
    ("filed", "verdict", "expected"),
    [
        row(False, VERDICT, ["FileResult"], id="filed beside what the pass says anyway"),
        row(True, VERDICT, [], id="filed before"),
        row(False, TURNED, [], id="a condition turns: told before, whatever the store does"),
        row(False, MEMORY, ["FileResult"], id="another decision waits until it is filed"),
        row(True, MEMORY, [], id="and is made then"),
        row(False, NOTHING, ["FileResult"], id="nothing else is to be said"),
    ],
)
def test_file_decision(filed: bool, verdict: Plan, expected: list[str]) -> None:
    decision = kept((bad := told(canaries("a", errors=50))), guardrails(bad, NOW))["decision"]
    status = {"undone": undone(), "attempt": 2, "decision": decision, "decision_filed": filed}
    plan = file_decision(observed(ref=V2, status=status, written=orders()), verdict, NOW)
    assert items(plan) == expected
    if not expected:
        assert plan.status == verdict.status
        assert (plan.wake_at == NOW) is not filed, "the next pass files it"
        return
    (item,) = plan.items
    assert isinstance(item, FileResult)
    assert item.store_key == "decisions/rollout/ads/digits/uid-of-rollout/2-0-undo.json"
    assert Decision.model_validate_json(item.content).judgement.verdict == "Fail"
    assert plan.status is not None
    assert (plan.status["decisionFiled"], plan.remember, "attempt" not in plan.status or plan.status["attempt"] == 2) == (True, False, True)
    assert plan.status["phase"] == "Degraded"


def test_without_a_decision_nothing_is_filed() -> None:
    assert file_decision(observed(), VERDICT, NOW) is VERDICT
