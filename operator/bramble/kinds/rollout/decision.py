"""A decision and all evidence for it, kept in the store so that the same verdict can be computed from it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from bramble.contracts.base import Document, ExtensibleDocument
from bramble.contracts.canonical import canonical_json
from bramble.contracts.counters import Counted
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import GuardEvidence
from bramble.kinds.rollout.analysis import ErrorRates, Judgement, judge
from bramble.kinds.rollout.mistakes import Mistake

Action = Literal["NextStep", "Promote", "Undo"]


class NodeState(Document):
    """What a node with the candidate last said, in words for people."""

    node: str
    said: str


class Decision(Document):
    """What was decided in one step of an attempt. `at` is RFC 3339; `stable` and `candidate` are names of ModelVersions.

    Attributes:
        rules: the guardrails with every default filled in, those among them that are always judged.
        evidence: the evidence about each of them.
        rates: the probabilities of wrong decisions that the spec allowed.
        nodes: the nodes with the candidate, at most 50.
        mistakes: of an undo, which classes the versions took for which, where answers were labelled. It is for people: no verdict follows
            from it.
    """

    schema_: Literal["bramble.dev/decision/v2"] = "bramble.dev/decision/v2"
    action: Action
    reason: str
    message: str
    at: str
    attempt: int
    step: int
    stable: str = ""
    candidate: str
    rules: tuple[Rule, ...] = ()
    evidence: tuple[GuardEvidence, ...] = ()
    rates: ErrorRates
    judgement: Judgement
    nodes: tuple[NodeState, ...] = ()
    mistakes: tuple[Mistake, ...] = ()

    def again(self) -> Judgement:
        """The judgement of the same evidence by the same rules, computed now."""
        return judge(self.rules, self.evidence, self.rates)

    def reproduces(self) -> bool:
        """Whether the same verdicts, with the same figures, follow from the evidence. Another version may word messages differently."""
        return self.again().unworded() == self.judgement.unworded()


class FormerDecision(ExtensibleDocument):
    """A decision of a release before evidence was kept: what was decided and when, with the counters of both cohorts.

    The verdicts of its rules of that time can be read, and not be computed again.
    """

    schema_: Literal["bramble.dev/decision/v1"] = "bramble.dev/decision/v1"
    action: Action
    reason: str
    message: str
    at: str
    attempt: int
    step: int
    stable: str = ""
    candidate: str
    candidate_counters: Counted
    stable_counters: Counted
    judgement: dict[str, Any]


AnyDecision = Decision | FormerDecision


def read_decision(document: Any) -> AnyDecision:
    """A decision of this release or of an earlier one.

    Raises:
        pydantic.ValidationError: it is neither.
    """
    former = isinstance(document, Mapping) and document.get("schema_") == FormerDecision.model_fields["schema_"].default
    return (FormerDecision if former else Decision).model_validate(document)


def decision_key(namespace: str, name: str, uid: str, decision: AnyDecision) -> str:
    """The decision's key in the store: one for each step and action of an attempt."""
    return f"decisions/rollout/{namespace}/{name}/{uid}/{decision.attempt}-{decision.step}-{decision.action.lower()}.json"


def encode(stored: dict[str, Any]) -> bytes:
    """The document in the store: the decision as the status holds it, as canonical JSON."""
    return canonical_json(stored)
