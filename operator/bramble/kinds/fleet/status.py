"""The status of a Fleet: its condition, and how many nodes are online."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from bramble.api.conditions import Condition
from bramble.api.fleet import BoardSeen, Excluded
from bramble.contracts.names import first_names
from bramble.contracts.report import OFFLINE_SECONDS, LeftOut
from bramble.kinds.fleet.observed import Observed
from bramble.kinds.plan import EventType
from bramble.kinds.sources import Devices
from bramble.kinds.status_update import INVALID_SPEC, READY, StatusUpdate, not_ready, ready

NO_NODES = "NoNodes"
NO_GATEWAY_CA = "NoGatewayCA"
AGENTS_STARTING = "AgentsStarting"
NONE_ONLINE = "NoneOnline"
SILENCE_UNPROVEN = "SilenceUnproven"
SOME_OFFLINE = "SomeOffline"
TWO_AGENTS = "TwoAgents"
ALL_ONLINE = "AllOnline"
DELETING = "Deleting"

EVENTS: Mapping[str, EventType] = {
    NO_NODES: "Normal",
    ALL_ONLINE: "Normal",
    SOME_OFFLINE: "Normal",
    DELETING: "Normal",
    NONE_ONLINE: "Warning",
    TWO_AGENTS: "Warning",
    NO_GATEWAY_CA: "Warning",
    INVALID_SPEC: "Warning",
}
"""Reasons that are worth an event (`StatusUpdate.events`)."""

EXCLUDED_SHOWN = 50
NODES_NAMED = 10
REASON_CHARACTERS = 160
"""Of the reason why a node's agent does not run: the status has room for `EXCLUDED_SHOWN` of them. `Ready` has the first in full."""

Presence = Literal["online", "offline", "never heard", "unknown"]


def presence(devices: Devices, node: str) -> Presence:
    """Whether the agent of a node answers.

    `unknown` while a missing report does not prove that the node is silent; `never heard` if the node has never reported.
    """
    seen = devices.reports.get(node)
    if seen is not None and seen.age_seconds < OFFLINE_SECONDS:
        return "online"
    if not devices.proves_silence:
        return "unknown"
    return "offline" if seen is not None else "never heard"


def fields(seen: Observed, unprepared: Mapping[str, str]) -> dict[str, Any]:
    """The figures of the status: nodes and online nodes, in all and by board, and the nodes that are not used.

    Args:
        seen: the fleet.
        unprepared: node to the reason why its folder is not prepared.
    """
    members = seen.membership.members
    online = {member.name for member in members if presence(seen.devices, member.name) == "online"}
    boards = tuple(
        BoardSeen(
            name=board.name,
            nodes=sum(member.board == board.name for member in members),
            online=sum(member.board == board.name and member.name in online for member in members),
        )
        for board in seen.fleet.spec.boards
    )
    stopped = {agent.node: f"its agent does not run: {_short(agent.problem)}" for agent in seen.stopped if agent.node and agent.problem}
    twice = {member.name: _why_two(seen, member.name) for member in members if member.name in seen.devices.two_agents}
    waiting = tuple(Excluded(node=node, reason=reason) for node, reason in sorted({**stopped, **unprepared, **twice}.items()))
    excluded = (*waiting, *seen.membership.excluded)
    found = {"nodes": len(members), "online": len(online), "boards": boards}
    return {**found, "excluded": excluded[:EXCLUDED_SHOWN], "excluded_nodes": len(excluded)}


def state(seen: Observed) -> StatusUpdate:
    """Ready while at least one agent answers. A device that is unplugged is no failure of its fleet, so the message names it."""
    nodes: dict[Presence, list[str]] = {"online": [], "offline": [], "never heard": [], "unknown": []}
    for member in seen.membership.members:
        nodes[presence(seen.devices, member.name)].append(member.name)
    silent = [*nodes["offline"], *nodes["never heard"]]
    why = _why_stopped(seen)
    count = f"{len(nodes['online'])} of {len(seen.membership.members)} nodes online{_cut(seen, nodes['online'])}"
    if not seen.membership.members:
        selector = ",".join(f"{key}={value}" for key, value in seen.fleet.spec.node_selector.items())
        message = f"the fleet has no nodes yet: label nodes {selector}, and with the labels of one of its boards"
        return _update("Empty", not_ready(NO_NODES, message))
    if not seen.gateway_ca:
        message = "no agent can start: the operator has no CA of the gateway's certificate; see the chart's gateway.tls"
        return _update("Pending", not_ready(NO_GATEWAY_CA, message))
    if nodes["unknown"]:
        unknown = f"{_named(nodes['unknown'])} unknown: a gateway replica does not answer or has just started"
        return _update("Unknown", Condition(READY, "Unknown", SILENCE_UNPROVEN, f"{count}; {unknown}"))
    if twice := [node for node in sorted(nodes["online"]) if node in seen.devices.two_agents]:
        offline = f"; offline: {_named(silent)}" if silent else ""
        return _update("Online", ready(TWO_AGENTS, f"{count}{offline}; two agents report as {_named(twice)}: {_why_two(seen, twice[0])}"))
    if not silent:
        return _update("Online", ready(ALL_ONLINE, count))
    if nodes["online"]:
        return _update("Online", ready(SOME_OFFLINE, f"{count}; offline: {_named(silent)}{f': {why}' if why else ''}"))
    if nodes["offline"]:
        return _update(
            "Offline",
            not_ready(NONE_ONLINE, f"{count}; offline: {_named(silent)}{f': {why}' if why else '. Check their power and network'}"),
        )
    message = f"{count} yet; waiting for the agents of {_named(silent)}{f': {why}' if why else ''}"
    return _update("Pending", not_ready(AGENTS_STARTING, message))


def _cut(seen: Observed, online: Iterable[str]) -> str:
    """Which nodes have more than their reports have room for; empty if none has."""
    cut = [node for node in online if seen.devices.reports[node].report.left_out != LeftOut()]
    return f"; {_named(cut)} left out counts, for which a report has no room: guardrails lack them" if cut else ""


def _why_two(seen: Observed, node: str) -> str:
    """What may have given a node two agents, and what to do."""
    if seen.devices.two_agents[node].machines > 1:
        cause = "two machines have this name, as after copying an SD card"
        remedy = "switch one off or give it another node name, then delete the agent's pod"
    else:
        cause = "two run on one machine, as when a pod did not end"
        remedy = "end the one without a pod"
    return f"{cause}. Rollouts leave the node out: {remedy}"


def _short(problem: str) -> str:
    return problem if len(problem) <= REASON_CHARACTERS else f"{problem[: REASON_CHARACTERS - 3]}..."


def _why_stopped(seen: Observed) -> str:
    """Why the first agent that does not run does not, and how many others do not; empty if nothing says so."""
    problems = [agent.problem for agent in seen.stopped if agent.problem]
    more = f"; {len(problems) - 1} more agents do not run" if len(problems) > 1 else ""
    return f"{problems[0]}{more}" if problems else ""


def invalid(problem: str) -> StatusUpdate:
    """The spec cannot be used."""
    return _update("Invalid", not_ready(INVALID_SPEC, problem))


def deleting(message: str) -> StatusUpdate:
    """The Fleet is being deleted."""
    return _update("Deleting", not_ready(DELETING, message))


def _update(phase: str, condition: Condition) -> StatusUpdate:
    return StatusUpdate(phase, (condition,), EVENTS)


def _named(nodes: Iterable[str]) -> str:
    return first_names(sorted(nodes), NODES_NAMED)
