"""A decision and everything that it was made from, kept so that the same verdict can be computed again."""

from __future__ import annotations

from typing import Any, Literal

from bramble.contracts.base import Document
from bramble.contracts.canonical import canonical_json
from bramble.kinds.rollout.analysis import Judgement, Rule, judge
from bramble.kinds.rollout.evidence import CohortCounters

Action = Literal["NextStep", "Promote", "Undo"]


class Decision(Document):
    """One bundle. `at` is RFC 3339."""

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

    def again(self) -> Judgement:
        """The same verdict from the same evidence."""
        return judge(self.rules, self.candidate_counters, self.stable_counters)


def decision_key(namespace: str, name: str, uid: str, decision: Decision) -> str:
    """Where the store has it: one a step and action of an attempt."""
    return f"decisions/rollout/{namespace}/{name}/{uid}/{decision.attempt}-{decision.step}-{decision.action.lower()}.json"


def encode(stored: dict[str, Any]) -> bytes:
    """As it is filed."""
    return canonical_json(stored)
