"""How many nodes of each cohort are lost: silent after they took the version, or interrupted in the last hour while they had it. Pure.

Both cohorts are counted in the same way. A node that was away, and is back, counts for one hour more, as it would otherwise not count at
all when it reboots within half a minute. Whether it gave the candidate up after that does not matter: a stable node has nothing to give up.
"""

from __future__ import annotations

from collections.abc import Mapping

from bramble.api.rollout import Release, Status
from bramble.contracts.report import LOST_SECONDS
from bramble.kinds.rollout.nodes import Nodes

SITE_SHARE = 0.25
"""The largest share of a cohort that may fall silent at one moment and count as one lost node, as where a site loses its network."""


def candidate_members(status: Status, nodes: Nodes) -> frozenset[str]:
    """The nodes that have, or should have, the candidate of this attempt, with those that left the fleet after they took it."""
    assigned = nodes.assignment.candidate_nodes if nodes.assignment is not None else ()
    return frozenset(assigned) | frozenset(status.departed)


def lost_candidates(status: Status, candidate: Release, nodes: Nodes, *, last_step: bool) -> int:
    """How many nodes with the candidate are lost.

    In the last step no node is left to compare with, so those of one site that fell silent at one moment count as one.

    Args:
        last_step: whether the present step is the last one.
    """
    members = candidate_members(status, nodes)
    silent = silent_with_candidate(status, candidate, nodes, last_step=last_step)
    since = {node: report.age_seconds if (report := nodes.report(node)) is not None else None for node in silent}
    moments: dict[str, float | None] = {**nodes.interrupted_on(candidate, members, status.attempt), **since}
    return (outages(moments, nodes, len(members)) if last_step else len(moments)) + forgotten(status, nodes, last_step=last_step)


def silent_with_candidate(status: Status, candidate: Release, nodes: Nodes, *, last_step: bool) -> frozenset[str]:
    """The nodes that took the candidate and have been silent for long enough to be lost."""
    silent = nodes.silent(candidate_members(status, nodes))
    return nodes.last_reported_on(candidate, silent) | (silent & unheard_with_candidate(status, nodes, last_step=last_step))


def unheard_with_candidate(status: Status, nodes: Nodes, *, last_step: bool) -> frozenset[str]:
    """The nodes that took the candidate and of which neither operator nor gateway has any report, because they were restarted since.

    A node that has left the fleet had taken it. Before the last step, so had the nodes of a step that is watched. Of the last step's nodes
    only the number is remembered: see `forgotten`.
    """
    unheard = frozenset(node for node in candidate_members(status, nodes) if nodes.report(node) is None)
    departed = unheard & frozenset(status.departed)
    return departed | (unheard - frozenset(status.passed_over)) if status.step_started_at and not last_step else departed


def forgotten(status: Status, nodes: Nodes, *, last_step: bool) -> int:
    """In the last step, how many of the nodes that served the candidate when its watch began have not been heard of since a restart of
    operator and gateway. They are counted, not named: a fleet may have thousands of nodes, and some of them may be switched off for months.
    """
    if not last_step or not status.step_started_at or not nodes.devices.proves_silence:
        return 0
    heard = sum(nodes.report(node) is not None for node in nodes.fleet.nodes)
    return max(0, min(status.watched, len(nodes.fleet.nodes)) - heard)


def lost_stable(stable: Release, nodes: Nodes, others: frozenset[str]) -> int:
    """How many of the nodes without the candidate are lost."""
    silent = nodes.last_reported_on(stable, nodes.silent(others))
    return len(silent | nodes.interrupted_on(stable, others).keys())


def outages(moments: Mapping[str, float | None], nodes: Nodes, members: int) -> int:
    """How many outages these losses are: nodes of one site that fell silent within half a minute are one, if they are few enough.

    Args:
        moments: node to how many seconds ago it fell silent; None where that is not known.
        members: how many nodes the cohort has.
    """
    sites: dict[tuple[str, ...], list[float]] = {}
    for node, seconds in moments.items():
        if seconds is not None:
            sites.setdefault(nodes.fleet.strata.get(node, ()), []).append(seconds)
    unknown = sum(seconds is None for seconds in moments.values())
    return unknown + sum(_outages_of_site(sorted(found), SITE_SHARE * members) for found in sites.values())


def _outages_of_site(moments: list[float], most: float) -> int:
    count, together = 0, 0
    for place, moment in enumerate(moments):
        together += 1
        if place + 1 == len(moments) or moments[place + 1] - moment > LOST_SECONDS:
            count += 1 if together <= most else together
            together = 0
    return count
