"""What a Fleet says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from bramble.api.conditions import Condition
from bramble.api.fleet import BoardSeen, Excluded
from bramble.contracts.report import OFFLINE_SECONDS
from bramble.kinds.fleet.observed import Observed
from bramble.kinds.plan import EventType
from bramble.kinds.sources import Devices
from bramble.kinds.status_update import INVALID_SPEC, READY, StatusUpdate, not_ready, ready

REASON_NO_NODES = "NoNodes"
REASON_NO_GATEWAY_CA = "NoGatewayCA"
REASON_STARTING = "AgentsStarting"
REASON_OFFLINE = "NoneOnline"
REASON_UNKNOWN = "SilenceUnproven"
REASON_SOME = "SomeOffline"
REASON_ALL = "AllOnline"
REASON_DELETING = "Deleting"

EVENTS: Mapping[str, EventType] = {
    REASON_NO_NODES: "Normal",
    REASON_ALL: "Normal",
    REASON_SOME: "Normal",
    REASON_DELETING: "Normal",
    REASON_OFFLINE: "Warning",
    REASON_NO_GATEWAY_CA: "Warning",
    INVALID_SPEC: "Warning",
}
"""Reasons that are worth an event (`StatusUpdate.events`)."""

MAX_EXCLUDED = 50
MAX_NAMED = 10

Presence = Literal["online", "offline", "unheard", "unknown"]


def presence(devices: Devices, node: str) -> Presence:
    """Whether a device is there: offline only where its silence is proven, unheard where it never spoke at all."""
    seen = devices.reports.get(node)
    if seen is not None and seen.age_seconds < OFFLINE_SECONDS:
        return "online"
    if not devices.proves_silence:
        return "unknown"
    return "offline" if seen is not None else "unheard"


def fields(seen: Observed, failed: Mapping[str, str]) -> dict[str, Any]:
    """The figures: nodes and online by board, and who is excluded and why."""
    members = seen.membership.members
    online = {member.name for member in members if presence(seen.devices, member.name) == "online"}
    boards = tuple(
        BoardSeen(
            name=board.name,
            nodes=sum(1 for member in members if member.board == board.name),
            online=sum(1 for member in members if member.board == board.name and member.name in online),
        )
        for board in seen.fleet.spec.boards
    )
    unprepared = tuple(Excluded(node=node, reason=why) for node, why in sorted(failed.items()))
    excluded = (*unprepared, *seen.membership.excluded)[:MAX_EXCLUDED]
    return {"nodes": len(members), "online": len(online), "boards": boards, "excluded": excluded}


def state(seen: Observed) -> StatusUpdate:
    """Ready while agents serve; which of them do not is in the message, for a device that is unplugged is no failure of the fleet."""
    members = [member.name for member in seen.membership.members]
    by_presence: dict[str, list[str]] = {"online": [], "offline": [], "unheard": [], "unknown": []}
    for name in members:
        by_presence[presence(seen.devices, name)].append(name)
    online, silent, unknown = by_presence["online"], [*by_presence["offline"], *by_presence["unheard"]], by_presence["unknown"]
    count = f"{len(online)} of {len(members)} nodes online"
    if not members:
        selector = ",".join(f"{key}={value}" for key, value in seen.fleet.spec.node_selector.items())
        return _stated("Empty", not_ready(REASON_NO_NODES, f"no node is of this fleet: label nodes {selector} and as one of its boards"))
    if not seen.gateway_ca:
        return _stated(
            "Pending", not_ready(REASON_NO_GATEWAY_CA, "the operator has no CA of the gateway mounted; see the chart's gateway.tls")
        )
    if unknown:
        message = f"{count}; nothing is known of {_named(unknown)} while not every gateway replica answers or all are younger than 15 s"
        return _stated("Unknown", Condition(READY, "Unknown", REASON_UNKNOWN, message))
    if not silent:
        return _stated("Online", ready(REASON_ALL, count))
    if online:
        return _stated("Online", ready(REASON_SOME, f"{count}; not {_named(silent)}"))
    if by_presence["offline"]:
        return _stated("Offline", not_ready(REASON_OFFLINE, f"{count}; all fell silent: {_named(silent)}"))
    return _stated("Pending", not_ready(REASON_STARTING, f"{count} yet; waiting for the agents of {_named(silent)}"))


def invalid(problem: str) -> StatusUpdate:
    """The spec cannot be used."""
    return _stated("Invalid", not_ready(INVALID_SPEC, problem))


def deleting(message: str) -> StatusUpdate:
    """The fleet is being deleted."""
    return _stated("Deleting", not_ready(REASON_DELETING, message))


def _stated(phase: str, condition: Condition) -> StatusUpdate:
    return StatusUpdate(phase, (condition,), EVENTS)


def _named(nodes: Iterable[str]) -> str:
    names = sorted(nodes)
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
