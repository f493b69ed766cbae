"""How far the nodes of the present step are with the candidate: who serves it, who may still come, and how many are enough. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bramble.api.rollout import Release
from bramble.api.schema import seconds
from bramble.kinds.rollout.assignment import candidate_nodes, eligible_nodes, nodes_with_candidate
from bramble.kinds.rollout.cohorts import wanted_nodes
from bramble.kinds.rollout.elapsed import last_change
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.steps import nodes_of

GRACE = timedelta(minutes=10)
"""How long a step waits for a node that answers and does not serve the candidate, before it goes on without the node. A device gives a
candidate up after the same time without contact."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The nodes of the present step.

    Attributes:
        nodes: all that should have the candidate.
        arrived: those that serve it now, verified by digest.
        watched: those of them that have served it for the whole bake of the step.
        missing: those that answer, do not serve it, and may still do so.
        abandoned: those that gave it up. A device does not try it again in the same attempt.
        needed: how many must be watched before the step may end: half of the nodes that the step asks for. In the last step that is half
            of the nodes that answer, since a fleet may have nodes that are switched off for months.
    """

    nodes: tuple[str, ...]
    arrived: frozenset[str]
    watched: frozenset[str]
    missing: frozenset[str]
    abandoned: frozenset[str]
    needed: int

    @property
    def enough(self) -> bool:
        """Whether enough nodes serve the candidate for the step to be watched without the others."""
        return len(self.arrived) >= self.needed

    @property
    def hopeless(self) -> bool:
        """Whether so many nodes of the last step gave the candidate up that enough can never serve it in this attempt."""
        return bool(self.abandoned) and len(self.arrived | self.missing) < self.needed


def arrivals_of(seen: Observed, candidate: Release) -> Arrivals:
    """Where the nodes of the present step are."""
    nodes = candidate_nodes(seen)
    served = frozenset(node for node in nodes if seen.fleet.nodes.get(node) in candidate.packages)
    arrived = seen.nodes.verified(candidate, served)
    answering = seen.nodes.reachable & served
    bake = seconds(seen.step.bake or "0s")
    watched = frozenset(node for node in arrived if (since := seen.nodes.serving_seconds(node)) is None or since >= bake)
    population = len(eligible_nodes(seen) | nodes_with_candidate(seen))
    asked = len(answering) if seen.at_last_step else wanted_nodes(nodes_of(seen.steps, seen.index), population)
    if not seen.at_last_step and 0 < seen.status.watched < half(asked):
        asked = seen.status.watched  # nodes have joined the fleet since the watch began
    return Arrivals(nodes, arrived, watched, answering - arrived - seen.abandoned, seen.abandoned, half(asked))


def half(nodes: int) -> int:
    """Half of so many nodes, rounded up; at least one."""
    return max(1, (nodes + 1) // 2)


def grace_is_over(seen: Observed) -> bool:
    """Whether the step goes on without the nodes that it waits for; each time that it does so, the others get the same time again.

    For a step that an earlier version of the operator began, it is not known since when it waits: the grace is over.
    """
    status = seen.status
    return not status.waiting_since or seen.elapsed[last_change(status)] >= GRACE.total_seconds()
