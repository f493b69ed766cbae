"""What undoes a candidate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from bramble.contracts.report import CandidateState
from bramble.kinds.rollout.decision import Decision
from bramble.kinds.rollout.observed import Observed
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
    interruption,
    kept,
    observed,
    with_candidate,
)

row = pytest.param
REBOOTED = {node: interruption(seen) for node, seen in canaries("a").items()}
REBOOTED_TOGETHER = {node: interruption(device(node, V2, attempt=2), silent_since=200.0) for node in "ab"}


def two(silent: Iterable[str] = (), **changes: Any) -> Observed:
    """Two canaries of four nodes."""
    return with_candidate(canaries("a", "b", silent=silent), on=("a", "b"), **changes)


REFUSED = CandidateState(package=digest("2.0.0"), state="refused", message="golden case 3 differs")
GIVEN_UP = CandidateState(
    package=digest("2.0.0"), state="abandoned", message="the gateway did not answer for 600 s while the candidate was served"
)
TRYING = CandidateState(package=digest("2.0.0"), state="trying")


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        row(observed(), None, id="no version is being tried"),
        row(with_candidate(canaries("a")), None, id="every guardrail is fine"),
        row(with_candidate(canaries("a", errors=50)), "GuardrailFailed", id="the candidate errs too often, in the middle of a bake"),
        row(with_candidate(canaries("a", errors=50, others_errors=50)), None, id="the stable version errs as often"),
        row(with_candidate(canaries("a", errors=5, requests=10)), None, id="there are too few events to decide"),
        row(with_candidate(canaries("a") | {"a": device("a", attempt=2, state=REFUSED)}), "Refused", id="a device refuses it"),
        row(
            with_candidate(canaries("a") | {"a": device("a", attempt=2, state=GIVEN_UP)}, interruptions={"a": REBOOTED["a"]}),
            None,
            id="the only canary rebooted while it served the version, and gave it up: any node may",
        ),
        row(two(interruptions=REBOOTED_TOGETHER), "Lost", id="both canaries rebooted in the last five minutes"),
        row(two(interruptions={"a": REBOOTED_TOGETHER["a"]}), None, id="one of two canaries rebooted"),
        row(
            two(interruptions={node: replace(each, silent_since_seconds=301.0) for node, each in REBOOTED_TOGETHER.items()}),
            None,
            id="both canaries rebooted earlier, and are back",
        ),
        row(two(interruptions={**REBOOTED, **REBOOTED_TOGETHER}), None, id="the stable nodes rebooted as well"),
        row(
            with_candidate(canaries("a") | {"a": device("a", attempt=2, state=GIVEN_UP)}),
            None,
            id="the only canary gave it up long ago, or while no node could be heard",
        ),
        row(with_candidate(canaries("a") | {"a": device("a", attempt=2, state=TRYING)}), None, id="a device is trying it"),
        row(
            with_candidate(canaries("a") | {"a": device("a", attempt=1, state=REFUSED)}),
            None,
            id="a device refused it in an earlier attempt",
        ),
        row(
            with_candidate(canaries("a") | {"b": device("b", attempt=2, state=REFUSED)}),
            None,
            id="a node refused it that should not have it",
        ),
        row(with_candidate(canaries("a", silent=["a"])), None, id="the only canary fell silent after it took the candidate"),
        row(two(silent=["a", "b"]), "Lost", id="both canaries fell silent after they took the candidate"),
        row(two(silent=["a", "b"], proves_silence=False), None, id="a gateway that has just started proves no silence"),
        row(two(silent=["a", "b", "c"]), None, id="both canaries fell silent, and half of the other nodes"),
        row(with_candidate(canaries("a", silent=NODES)), None, id="every node is silent, so the candidate is not at fault"),
        row(with_candidate(canaries("a", silent=["b"])), None, id="another node fell silent"),
        row(
            with_candidate({"a": device("a", V1, age=60)} | {n: device(n) for n in "bcd"}),
            None,
            id="the node fell silent before it took the candidate",
        ),
        row(with_candidate(canaries("a", errors=200), status=baking(stable=None)), None, id="a first version has nothing to compare with"),
        row(two(silent=["a", "b"], status=baking(stable=None)), "Lost", id="nodes are lost to a first version"),
        row(
            with_candidate(canaries(*NODES, silent=["a", "b"]), status=baking(stable=None, step=2), on=NODES),
            None,
            id="nodes are lost to a first version that every node has",
        ),
        row(
            with_candidate(canaries("a") | {"a": device("a", attempt=2, state=REFUSED)}, status=baking(stable=None)),
            "Refused",
            id="a device refuses a first version",
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
    assert decision.action == "Undo"
    assert decision.reason == reason
    assert [(event.type, event.reason) for event in plan.events] == [("Warning", "Undone")]
    assert decision.reproduces()
