"""Which nodes are a fleet's, and which board each one is. Pure; Rollouts read it too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bramble.api.fleet import Excluded, Spec, Status
from bramble.api.objects import Metadata, Object, metadata_of
from bramble.kube.resources import Manifest

Fleet = Object[Spec, Status]


@dataclass(frozen=True, slots=True)
class Claim:
    """Which nodes a fleet selects. One whose spec cannot be used keeps its own: a typo must give no node to another."""

    fleet: Metadata
    selector: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Manifest) -> Claim:
        """From the API server's Fleet; its schema warrants the selector."""
        return cls(metadata_of(manifest), manifest["spec"]["nodeSelector"])


@dataclass(frozen=True, slots=True)
class Member:
    """A node that the fleet uses."""

    name: str
    board: str
    node: Manifest

    @property
    def labels(self) -> Mapping[str, str]:
        return labels_of(self.node)

    def stratum(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Its values of these labels; empty where it has none."""
        return tuple(self.labels.get(key, "") for key in keys)


@dataclass(frozen=True, slots=True)
class Membership:
    """Every node that the fleet's selector matches, used or not, in order of name."""

    members: tuple[Member, ...]
    excluded: tuple[Excluded, ...]

    def by_board(self) -> dict[str, tuple[Member, ...]]:
        """The members of each board that has any."""
        boards: dict[str, list[Member]] = {}
        for member in self.members:
            boards.setdefault(member.board, []).append(member)
        return {board: tuple(members) for board, members in boards.items()}


def labels_of(node: Manifest) -> Mapping[str, str]:
    """A node's labels."""
    return node["metadata"].get("labels") or {}


def matches(node: Manifest, selector: Mapping[str, str]) -> bool:
    """Whether a node carries all of these labels."""
    labels = labels_of(node)
    return all(labels.get(key) == value for key, value in selector.items())


def precedence(fleet: Metadata) -> tuple[str, str]:
    """Of two fleets over a node the one with the smaller value has it: the older one, then the one with the lower uid."""
    return fleet.created.isoformat(), fleet.uid


def membership(fleet: Fleet, nodes: Iterable[Manifest], claims: Iterable[Claim]) -> Membership:
    """Who is in this fleet.

    Args:
        fleet: the fleet.
        nodes: all nodes of the cluster.
        claims: of all fleets; its own among them does no harm.
    """
    mine = precedence(fleet.metadata)
    # A fleet that is being deleted keeps its nodes until it is gone: its agents still run there.
    older = tuple(claim for claim in claims if claim.fleet.uid != fleet.metadata.uid and precedence(claim.fleet) < mine)
    members: list[Member] = []
    excluded: list[Excluded] = []
    matched = (node for node in nodes if matches(node, fleet.spec.node_selector) and "deletionTimestamp" not in node["metadata"])
    for node in sorted(matched, key=lambda node: str(node["metadata"]["name"])):
        name = str(node["metadata"]["name"])
        boards = [board.name for board in fleet.spec.boards if matches(node, board.selector)]
        holder = next((claim.fleet for claim in older if matches(node, claim.selector)), None)
        if holder is not None:
            reason = f"Fleet {holder.name} is older and selects it too; change one of the two nodeSelectors"
            excluded.append(Excluded(node=name, reason=reason))
        elif len(boards) == 1:
            members.append(Member(name, boards[0], node))
        else:
            excluded.append(Excluded(node=name, reason=_no_board(fleet, boards)))
    return Membership(tuple(members), tuple(excluded))


def _no_board(fleet: Fleet, boards: list[str]) -> str:
    if boards:
        return f"it is selected by several boards ({', '.join(boards)}); make their selectors exclude each other"
    wanted = "; ".join(
        f"{board.name}: {', '.join(f'{key}={value}' for key, value in board.selector.items())}" for board in fleet.spec.boards
    )
    return f"no board selects it; label it as one of them ({wanted})"
