"""Which nodes are silent, which were interrupted, and what they served before. Pure.

A node is lost when it falls silent, or reboots, while it serves a version. Both cohorts are seen in the same way. Whether a node gave the
candidate up after that does not matter: a stable node has nothing to give up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bramble.api.rollout import Release, Status
from bramble.contracts.counters import Cohort
from bramble.contracts.report import LOST_SECONDS
from bramble.kinds.rollout.cohorts import Stratum
from bramble.kinds.rollout.nodes import Nodes


class Silence(NamedTuple):
    """A node that is silent, or was until a while ago.

    Attributes:
        seconds: how long ago it sent the last report before; None where nobody remembers any.
        on_candidate: whether it served the candidate of this attempt then, or was trying it. A node that left the fleet had.
        on_stable: whether it served the stable version, or anything where there is none.
    """

    seconds: float | None
    on_candidate: bool
    on_stable: bool


@dataclass(frozen=True)
class Silences:
    """What a pass saw of nodes that fall silent.

    Attributes:
        members: nodes that have, or should have, the candidate, with those that left the fleet after they took it.
        watched: nodes that report, and the cohort whose version they serve or try; None for neither.
        silent: nodes that are silent. There is none while silence is not proven.
        interrupted: nodes that report again after they were silent or rebooted, in the last hour.
        sites: node to its values of the fleet's `stratifyBy` labels.
    """

    members: frozenset[str] = frozenset()
    watched: Mapping[str, Cohort | None] = field(default_factory=dict)
    silent: Mapping[str, Silence] = field(default_factory=dict)
    interrupted: Mapping[str, Silence] = field(default_factory=dict)
    sites: Mapping[str, Stratum] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """All nodes that it says something of."""
        return self.members.union(self.watched, self.silent, self.interrupted)

    def of(self, kept: frozenset[str]) -> Silences:
        """What it says of these nodes alone."""
        return Silences(
            self.members & kept,
            {name: cohort for name, cohort in self.watched.items() if name in kept},
            {name: silence for name, silence in self.silent.items() if name in kept},
            {name: silence for name, silence in self.interrupted.items() if name in kept},
            self.sites,
        )


def silences(status: Status, nodes: Nodes, candidates: frozenset[str]) -> Silences:
    """What the pass saw.

    Args:
        candidates: the nodes that the assignment of this attempt gives the candidate to.
    """
    candidate, stable, attempt = status.candidate, status.stable, status.attempt
    members = candidates | frozenset(status.departed) if candidate is not None else frozenset()
    everyone = frozenset(nodes.fleet.nodes) | members

    def on_stable(found: Iterable[str]) -> frozenset[str]:
        return nodes.last_reported_on(stable, found) if stable is not None else frozenset(found)

    def on_candidate(found: Iterable[str]) -> frozenset[str]:
        return nodes.last_reported_on(candidate, found, attempt) if candidate is not None else frozenset()

    ages = {node: seen.age_seconds if (seen := nodes.report(node)) is not None else None for node in everyone}
    reporting = frozenset(node for node, age in ages.items() if age is not None and age <= LOST_SECONDS)
    mine, theirs = on_candidate(reporting & members), on_stable(reporting - members)
    silent = nodes.silent(everyone)
    unheard = frozenset(node for node in silent if ages[node] is None)
    silent_mine, silent_theirs = on_candidate(silent) | (unheard & frozenset(status.departed)), on_stable(silent - unheard)
    return Silences(
        members=members,
        watched={node: "candidate" if node in mine else "stable" if node in theirs else None for node in reporting},
        silent={node: Silence(ages[node], node in silent_mine, node in silent_theirs) for node in silent},
        interrupted=_interrupted(nodes, everyone, candidate, stable, attempt),
        sites=nodes.fleet.strata,
    )


def _interrupted(
    nodes: Nodes, everyone: frozenset[str], candidate: Release | None, stable: Release | None, attempt: int
) -> dict[str, Silence]:
    mine = nodes.interrupted_on(candidate, everyone, attempt) if candidate is not None else {}
    if stable is not None:
        theirs = nodes.interrupted_on(stable, everyone)
    else:
        certain = everyone - nodes.devices.two_agents.keys()
        theirs = {node: each.silent_since_seconds for node, each in nodes.devices.interruptions.items() if node in certain}
    return {node: Silence(seconds, node in mine, node in theirs) for node, seconds in {**theirs, **mine}.items()}


def candidate_members(status: Status, nodes: Nodes) -> frozenset[str]:
    """The nodes that have, or should have, the candidate of this attempt, with those that left the fleet after they took it."""
    assigned = nodes.assignment.candidate_nodes if nodes.assignment is not None else ()
    return frozenset(assigned) | frozenset(status.departed)


def unheard_with_candidate(status: Status, nodes: Nodes, *, last_step: bool) -> frozenset[str]:
    """The nodes that took the candidate and of which neither operator nor gateway has any report, because they were restarted since.

    A node that has left the fleet had taken it. Before the last step, so had the nodes of a step that is watched. Of the last step's nodes
    only those of the ledger are known to have taken it (`loss_counting`).
    """
    unheard = frozenset(node for node in candidate_members(status, nodes) - nodes.devices.two_agents.keys() if nodes.report(node) is None)
    departed = unheard & frozenset(status.departed)
    return departed | (unheard - frozenset(status.passed_over)) if status.step_started_at and not last_step else departed
