"""A decision and all evidence for it, kept in the store so that the same verdict can be computed from it again."""

from __future__ import annotations

from typing import Any, Literal

from bramble.contracts.base import Document
from bramble.contracts.canonical import canonical_json
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import CohortCounters
from bramble.kinds.rollout.analysis import Judgement, judge

Action = Literal["NextStep", "Promote", "Undo"]


class NodeState(Document):
    """What a node with the candidate last said, in words for people."""

    node: str
    said: str


class Decision(Document):
    """What was decided in one step of an attempt. `at` is RFC 3339; `stable` and `candidate` are names of ModelVersions."""

    schema_: Literal["bramble.dev/decision/v1"] = "bramble.dev/decision/v1"
    action: Action
    reason: str
    message: str
    at: str
    attempt: int
    step: int
    stable: str = ""
    candidate: str
    rules: tuple[Rule, ...] = ()
    candidate_counters: CohortCounters
    stable_counters: CohortCounters
    judgement: Judgement
    nodes: tuple[NodeState, ...] = ()
    """The nodes with the candidate, at most 50."""

    def again(self) -> Judgement:
        """The judgement of the same evidence by the same rules, computed now."""
        return judge(self.rules, self.candidate_counters, self.stable_counters)

    def reproduces(self) -> bool:
        """Whether the same verdicts, with the same figures, follow from the evidence. Another version may word messages differently."""
        return self.again().unworded() == self.judgement.unworded()


def decision_key(namespace: str, name: str, uid: str, decision: Decision) -> str:
    """The decision's key in the store: one for each step and action of an attempt."""
    return f"decisions/rollout/{namespace}/{name}/{uid}/{decision.attempt}-{decision.step}-{decision.action.lower()}.json"


def encode(stored: dict[str, Any]) -> bytes:
    """The document in the store: the decision as the status holds it, as canonical JSON."""
    return canonical_json(stored)
