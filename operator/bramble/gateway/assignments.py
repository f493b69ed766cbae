"""Holds the assignments of each node, read from the ConfigMaps that the operator writes, and the calls that wait for a change.

A node receives only its own part: its board's packages, and whether it is a canary. Each waiting call costs one future, so five thousand
nodes can wait; a change wakes the nodes that it names.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import ValidationError

from bramble.contracts.assignment import KEY, Assignment
from bramble.contracts.canonical import canonical_json, digest_of, short
from bramble.kube.resources import Manifest

log = logging.getLogger(__name__)


WAITING_OF_NODE = 4
"""Calls of one node that wait at the same time. One is usual; after an agent's restart, that of its former process may still be there."""


class Grant(NamedTuple):
    """A blob that a node may read: the namespace whose store has it, and its size in bytes."""

    namespace: str
    bytes: int


@dataclass(frozen=True, slots=True)
class NodeAnswer:
    """The answer for one node: the JSON body and its entity tag."""

    etag: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Membership:
    """A node's place in an assignment. It is computed once per change, not once per call of five thousand nodes."""

    assignment: Assignment
    board: str
    canary: bool


def memberships(assignment: Assignment) -> dict[str, Membership]:
    """The membership of every node that the assignment names."""
    canaries = frozenset(assignment.candidate_nodes) if assignment.candidate is not None else frozenset[str]()
    return {node: Membership(assignment, board, node in canaries) for board, names in assignment.nodes.items() for node in names}


def part_of(node: str, membership: Membership) -> Assignment:
    """The part of an assignment that this node may see."""
    assignment, board, canary = membership.assignment, membership.board, membership.canary
    stable = {board: assignment.stable[board]} if board in assignment.stable else {}
    candidate = {board: assignment.candidate[board]} if canary and assignment.candidate and board in assignment.candidate else None
    named = {*stable.values(), *(candidate or {}).values()}
    return assignment.model_copy(
        update={
            "nodes": {board: (node,)},
            "stable": stable,
            "candidate": candidate,
            "candidate_nodes": (node,) if canary else (),
            "packages": {digest: blobs for digest, blobs in assignment.packages.items() if digest in named},
        }
    )


def answer_with(parts: Iterable[Assignment]) -> NodeAnswer:
    """Make the answer that gives these assignments to a node."""
    documents = b",".join(canonical_json(part) for part in parts)
    etag = short(digest_of(documents))
    return NodeAnswer(etag, b'{"assignments":[%b],"etag":"%b"}' % (documents, etag.encode()))


class Assignments:
    """The newest state of every assignment. One watch updates it; every device's call reads it.

    Attributes:
        synced: set when all assignments have been listed once. Before that, an assignment that is missing here may exist.
    """

    def __init__(self) -> None:
        self.synced = asyncio.Event()
        self._by_name: dict[str, Assignment] = {}
        self._of_node: dict[str, dict[str, Membership]] = {}
        self._waiting: dict[str, list[asyncio.Future[bool]]] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def waiting(self) -> int:
        """The number of calls that wait for a change."""
        return sum(map(len, self._waiting.values()))

    def replace(self, manifests: Iterable[Manifest]) -> None:
        """Replace all assignments by those of a full list. An assignment that is not in the list no longer exists."""
        listed = {manifest["metadata"]["name"]: manifest for manifest in manifests}
        for name in self._by_name.keys() - listed.keys():
            self.remove(name)
        for manifest in listed.values():
            self.put(manifest)
        self.synced.set()

    def put(self, manifest: Manifest) -> None:
        """Store one assignment. If it cannot be parsed, the previous one stays, so that devices keep their packages."""
        name = manifest["metadata"]["name"]
        try:
            assignment = Assignment.model_validate_json((manifest.get("data") or {}).get(KEY, ""))
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            log.error("ConfigMap %s has no valid assignment; the previous one stays in force: %s", name, problem)  # noqa: TRY400
            return
        before = self._by_name.get(name)
        if before == assignment:
            return
        self._by_name[name] = assignment
        self._index(name, before, assignment)

    def remove(self, name: str) -> None:
        """Remove a deleted assignment, and wake its nodes."""
        before = self._by_name.pop(name, None)
        if before is not None:
            self._index(name, before, None)

    def _index(self, name: str, before: Assignment | None, after: Assignment | None) -> None:
        """Update the memberships of the nodes that an assignment names or named, and wake their calls."""
        then = {node for names in before.nodes.values() for node in names} if before is not None else set[str]()
        now = memberships(after) if after is not None else {}
        for node in then - now.keys():
            parts = self._of_node[node]
            del parts[name]
            if not parts:
                del self._of_node[node]
        for node, membership in now.items():
            self._of_node.setdefault(node, {})[name] = membership
        for node in then | now.keys():
            for future in self._waiting.pop(node, ()):
                if not future.done():
                    future.set_result(True)

    def of(self, node: str) -> NodeAnswer:
        """The answer for this node now. Its assignments are in a fixed order, so the same content has the same entity tag."""
        parts = self._of_node.get(node, {})
        return answer_with(part_of(node, parts[name]) for name in sorted(parts))

    def grants(self, node: str, digest: str) -> Grant | None:
        """The right of this node to read this blob; None if no assignment of the node names the blob."""
        for membership in self._of_node.get(node, {}).values():
            for package in part_of(node, membership).packages.values():
                for blob in package.blobs:
                    if blob.sha256 == digest:
                        return Grant(membership.assignment.namespace, blob.bytes)
        return None

    async def wait_for_change(self, node: str, seconds: float) -> bool:
        """Wait until something changes for this node, or until `seconds` have passed.

        Returns:
            Whether the caller may wait again; not if `WAITING_OF_NODE` later calls of the node wait.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(node, [])
        waiting.append(future)
        if len(waiting) > WAITING_OF_NODE and not (oldest := waiting.pop(0)).done():
            oldest.set_result(False)
        try:
            await asyncio.wait((future,), timeout=seconds)
            return future.result() if future.done() else True
        finally:
            if future in waiting:
                waiting.remove(future)
            if not waiting and self._waiting.get(node) is waiting:
                del self._waiting[node]

    def wake_all(self) -> None:
        """Wake every waiting call, because this replica is about to stop."""
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_result(True)
        self._waiting.clear()
