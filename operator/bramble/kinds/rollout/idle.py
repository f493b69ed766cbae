"""Candidate nodes that had no event of a guardrail, though they should have had some. Pure."""

from __future__ import annotations

from statistics import median

from bramble.kinds.rollout.ledger import Ledger, NodeRecord
from bramble.kinds.rollout.looks import events_in

EXPECTED = 5
"""A node that should have had so many events, and had none, is idle. By chance that happens once in 150 times, at a steady rate."""


def idle_nodes(ledger: Ledger, index: int, serving: frozenset[str]) -> int:
    """How many candidate nodes had no event of a guardrail in this attempt, though they should have had at least `EXPECTED`.

    Stable nodes show whether requests come: what the median one of them had in the same time, as a share of what it had before the
    attempt, is what a candidate node should have had of the same. So nothing is expected where most stable nodes had no event. Nor is
    anything in the last step, where no node is left to tell a version that answers nothing from a night without requests.

    Args:
        index: of the guardrail in the ledger.
        serving: the nodes that serve the candidate.
    """
    guard = ledger.guards[index]
    weight = guard.weights[1]
    if guard.frozen is not None or not weight:
        return 0
    members = (ledger.nodes[name] for name in serving if name in ledger.nodes and ledger.nodes[name].cohort == "candidate")
    silent = [node for node in members if not node.sums[index][1] and node.before[index]]
    if 2 * len(silent) <= len(serving):
        return 0  # too few to matter, which is so in nearly every pass
    share = _share(ledger, index)

    def expected(node: NodeRecord) -> float:
        return events_in(node.before[index]) * share * max(0.0, weight - node.since[index][1]) / weight

    return sum(expected(node) >= EXPECTED for node in silent)


def _share(ledger: Ledger, index: int) -> float:
    """What the median stable node had in this attempt, as a share of what it had before; 0 without stable nodes."""
    stable = [node for node in ledger.nodes.values() if node.cohort == "stable" and node.before[index]]
    return median(node.sums[index][1] / events_in(node.before[index]) for node in stable) if stable else 0.0
