"""Nodes that fell silent for 30 s, or rebooted, while they served the version. A node that is back counts for one hour more.

The operator itself sees which nodes are silent, so the devices count nothing for it. Silence counts only where it is proven: every replica
of the gateway answers and has been up for 15 s.

    fails when  lost candidate nodes / candidate nodes  >  0.05 + 1.5 x (lost stable nodes / stable nodes)

It passes otherwise, and is never undecided: it has no `minEvents` and no `minNodes`, and none of its numbers can be set.

With fewer than 20 candidate nodes and no lost stable node, one lost node is enough to fail. With 40 candidate nodes, two lost nodes
pass (2 / 40 is 5 %) and three fail. If a tenth of the stable nodes is lost as well, the limit is 0.05 + 1.5 x 0.1 = 20 %.

The stable nodes are all nodes without the candidate, and they are counted in the same way. A candidate node stays counted when its Node is
deleted or leaves the fleet, and when operator and gateway restart. In the last step the numbers of the stable nodes are those of the moment
before it began. So that a site without network does not undo a whole fleet, nodes with the same values of the fleet's `stratifyBy` labels
that fell silent within 30 s of one another count as one then, up to a quarter of the fleet. Without any stable node the limit is 5 %. A
first version is compared with the nodes that do not have it yet, and in its last step lost nodes undo nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from bramble.evidence.verdict import Levels
from bramble.guardrails.base import Metric, Rule, Verdict
from bramble.guardrails.evidence import GuardEvidence

ALLOWANCE = 0.05
"""The share of nodes that may fall silent for reasons of their own, such as a pulled plug: one in twenty."""

MAX_RATIO = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost(Metric):
    """The share of candidate nodes that are lost, compared with the share of stable nodes that fell silent at the same time.

    Its events are nodes, and the bad ones are lost.
    """

    def judge(self, rule: Rule, evidence: GuardEvidence, levels: Levels) -> Verdict:  # noqa: ARG002
        """Fail where more nodes are lost than the allowance and `max_ratio` times the stable cohort's share together."""
        mine, theirs = evidence.candidate, evidence.stable
        allowed = ALLOWANCE + rule.max_ratio * theirs.share
        message = f"{mine.bad} of {mine.events} candidate nodes fell silent or rebooted, and {theirs.bad} of {theirs.events} stable nodes"
        return self.verdict("Fail" if mine.share > allowed else "Pass", evidence, message)


LOST = Lost(
    name="lost",
    description="share of nodes that fell silent for 30 s, or rebooted, while they served the version",
    event="nodes",
    always=Rule(metric="lost", max_ratio=MAX_RATIO, min_events=0, min_nodes=0),
)
