"""Decides which nodes belong to a fleet, and which board each of them is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bramble.api.fleet import Excluded, Spec, Status
from bramble.api.objects import Metadata, Object, metadata_of
from bramble.kinds.fleet.node import Node
from bramble.kube.resources import Manifest

Fleet = Object[Spec, Status]


@dataclass(frozen=True, slots=True)
class Claim:
    """The nodes that a Fleet selects.

    A Fleet whose spec cannot be used has a claim too. Otherwise a typo in an older Fleet would give its nodes to a younger one.
    """

    fleet: Metadata
    selector: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Manifest) -> Claim:
        """From the API server's Fleet, whose schema requires the selector."""
        return cls(metadata_of(manifest), manifest["spec"]["nodeSelector"])


@dataclass(frozen=True, slots=True)
class Member:
    """A node that the fleet uses, and the name of its board."""

    node: Node
    board: str

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name


@dataclass(frozen=True, slots=True)
class Membership:
    """The nodes that the fleet's selector matches, sorted by name: those that the fleet uses, and those that it does not use and why."""

    members: tuple[Member, ...]
    excluded: tuple[Excluded, ...]


def precedence(fleet: Metadata) -> tuple[str, str]:
    """Of two Fleets that select a node, the one with the smaller value has it: the older one, or of two equally old the lower uid."""
    return fleet.created.isoformat(), fleet.uid


def membership(fleet: Fleet, nodes: Iterable[Node], claims: Iterable[Claim]) -> Membership:
    """Decide which nodes belong to this fleet.

    Args:
        fleet: the fleet.
        nodes: every node of the cluster.
        claims: of every Fleet of the cluster; the fleet's own may be among them.
    """
    own = precedence(fleet.metadata)
    # A Fleet that is being deleted keeps its nodes until it is gone, because its agents still run there.
    older = tuple(claim for claim in claims if claim.fleet.uid != fleet.metadata.uid and precedence(claim.fleet) < own)
    members: list[Member] = []
    excluded: list[Excluded] = []
    matched = (node for node in nodes if node.matches(fleet.spec.node_selector) and not node.deleted)
    for node in sorted(matched, key=lambda node: node.name):
        boards = [board.name for board in fleet.spec.boards if node.matches(board.selector)]
        holder = next((claim.fleet for claim in older if node.matches(claim.selector)), None)
        if holder is not None:
            reason = f"Fleet {holder.name} is older and selects the node too; change one of the two nodeSelectors"
            excluded.append(Excluded(node=node.name, reason=reason))
        elif len(boards) == 1:
            members.append(Member(node, boards[0]))
        else:
            excluded.append(Excluded(node=node.name, reason=_no_board(fleet, boards)))
    return Membership(tuple(members), tuple(excluded))


def _no_board(fleet: Fleet, boards: list[str]) -> str:
    if boards:
        return f"several boards select the node ({', '.join(boards)}); change their selectors so that one does"
    wanted = "; ".join(
        f"{board.name}: {', '.join(f'{key}={value}' for key, value in board.selector.items())}" for board in fleet.spec.boards
    )
    return f"no board selects the node; label it as one of them ({wanted})"
